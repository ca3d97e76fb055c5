// Every other second the open page asks which release is live, and draws itself again when that changed. Without this
// script the page works the same, on reload.
(() => {
  const ask = async () => {
    const main = document.getElementById("live");
    try {
      const answer = await fetch("/release", { cache: "no-store" });
      const { version } = await answer.json();
      // While the list is old, its age on the page has to grow.
      if (version === main.dataset.version && !document.querySelector(".notice")) return;
      const page = await (await fetch(location.href, { cache: "no-store" })).text();
      const fresh = new DOMParser().parseFromString(page, "text/html").getElementById("live");
      if (!fresh) return;
      if (fresh.dataset.version !== main.dataset.version) fresh.classList.add("changed");
      main.replaceWith(fresh);
    } catch {
      // The shop is restarting: the page stays as it is until it answers again.
    }
  };
  setInterval(ask, 2000);
})();
