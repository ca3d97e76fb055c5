// Every other second the open page asks which release is live, and draws itself again when that changed. Without this
// script the page works the same, on reload.
(() => {
  const ask = async () => {
    const main = document.getElementById("live");
    try {
      const answer = await fetch("/release", { cache: "no-store" });
      const { version, live_for, checked } = await answer.json();
      if (version === main.dataset.version) {
        // The same list, but what the page says of its age has to stay true.
        for (const [place, text] of [["#live-for", live_for], ["#checked", checked], [".notice strong", checked]]) {
          const element = document.querySelector(place);
          if (element && text) element.textContent = text;
        }
        return;
      }
      const page = await (await fetch(location.href, { cache: "no-store" })).text();
      const fresh = new DOMParser().parseFromString(page, "text/html").getElementById("live");
      if (!fresh) return;
      fresh.classList.add("changed");
      main.replaceWith(fresh);
    } catch {
      // The shop is restarting: the page stays as it is until it answers again.
    }
  };
  setInterval(ask, 2000);
})();
