// A reader in another language, written from docs/contract.md alone: what a team on Node would begin with.
// It shares nothing with the Python one but the vectors, which it checks: `node reader.mjs docs/contract/vectors`
// prints how many cases it agrees with, and each it does not. The network is left to an AWS SDK.

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { crc32 } from "./crc32.mjs";

class Refused extends Error {}

// -- JSON: "a field that stands twice refuses the document", which JSON.parse does not notice ---------------------

function parseStrictly(text) {
  const numbers = text.replace(/"(?:[^"\\]|\\.)*"/g, '""');
  if (/(^|[^0-9.eE+-])-?[0-9]{4301,}(?![0-9.eE])/.test(numbers)) throw new Refused("more than 4,300 digits");
  const document = JSON.parse(text);
  const open = []; // one entry for each open bracket: the names seen in an object, null in a list
  let name = false; // the next string is a field's name
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(null);
    else if (token === "}" || token === "]") open.pop();
    if (token === "{" || token === ",") name = open.at(-1) instanceof Set;
    else if (token[0] === '"' && name) {
      const field = JSON.parse(token);
      if (open.at(-1).has(field)) throw new Refused(`field '${field}' stands twice`);
      open.at(-1).add(field);
      name = false;
    } else name = false;
  }
  return document;
}

// -- the active pointer ------------------------------------------------------------------------------------------

const TYPES = {
  text: (value) => typeof value === "string",
  whole: (value) => Number.isInteger(value),
  object: (value) => typeof value === "object" && !Array.isArray(value),
  list: Array.isArray,
};

function field(document, path, type, absent) {
  const value = document[path.split(".").at(-1)];
  if (value === undefined || value === null) {
    if (absent === undefined) throw new Refused(`field '${path}' is missing`);
    return absent;
  }
  if (!TYPES[type](value)) throw new Refused(`field '${path}' is not ${type}`);
  return value;
}

const partitionOf = (release) => release.replace(/^(\d{4})(\d\d)(\d\d)-.*$/, "$1-$2-$3");
const exists = (day) => !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day);
const releaseOf = (table) => {
  const release = table.match(/-(\d{8}-[0-9a-f]{8})(?:-a\d+)?$/)?.[1] ?? "";
  return release && exists(partitionOf(release)) ? release : "";
};

export function readPointer(bytes, query, environment) {
  if (bytes.length > 64 * 1024) throw new Refused("more than 64 kB");
  let document;
  try {
    document = parseStrictly(new TextDecoder("utf-8", { fatal: true }).decode(bytes)); // drops a byte order mark
  } catch (error) {
    throw error instanceof Refused ? error : new Refused(`it is not JSON (${error.message})`);
  }
  if (document === null || !TYPES.object(document)) throw new Refused("it is not an object");
  if (field(document, "schema_version", "whole", 1) !== 1) throw new Refused("schema_version is not 1");
  if (field(document, "query", "text") !== query) throw new Refused("query is another one");
  const of = field(document, "environment", "text", "");
  if (of && environment && of !== environment) throw new Refused("environment is another one");
  const table = field(document, "table", "text");
  if (!/^[A-Za-z0-9_.-]{3,255}$/.test(table)) throw new Refused("table is no DynamoDB name");
  const generation = field(document, "generation", "whole", 0);
  if (generation < 0 || generation >= Number.MAX_SAFE_INTEGER) throw new Refused("generation is out of range");
  const key = field(document, "key", "object", {});
  const named = { name: field(key, "key.name", "text", "e"), type: field(key, "key.type", "text", "S") };
  if (!["S", "N"].includes(named.type) || !named.name) throw new Refused("key.name is empty or key.type is not S or N");
  const previous = field(document, "previous", "list", []).map((entry, at) => {
    if (entry === null || !TYPES.object(entry)) throw new Refused(`previous[${at}] is not an object`);
    return {
      table: field(entry, `previous[${at}].table`, "text"),
      release: field(entry, `previous[${at}].release_id`, "text", ""),
      fallback: field(entry, `previous[${at}].fallback`, "text", ""),
    };
  });
  const stated = field(document, "release_id", "text", "");
  const partition = field(document, "partition", "text", "");
  const fallback = field(document, "fallback", "text", "");
  const entry = previous.find((one) => one.table === table);
  const release = releaseOf(table) || (entry ? entry.release || releaseOf(entry.table) : "");
  const edited = releaseOf(table) === "" || releaseOf(table) !== stated;
  return {
    table,
    served_release_id: release,
    served_partition: (release === stated && partition) || partitionOf(release),
    served_fallback: (edited && entry?.fallback) || fallback || null,
    region: field(document, "region", "text", ""),
    key: named,
    item_format: field(document, "item_format", "text", "ranking/1"),
    previous_tables: previous.map((one) => one.table),
    edited,
  };
}

// What waits for a person's approval; null when it is absent or not whole. It never refuses the document.
function stagedIn(document) {
  const staged = document.staged;
  if (staged === undefined || staged === null || !TYPES.object(staged)) return null;
  try {
    for (const name of ["release_id", "partition", "fallback"]) field(staged, name, "text", "");
    const key = field(staged, "key", "object", {});
    const found = {
      table: field(staged, "table", "text"),
      region: field(staged, "region", "text", ""),
      key: { name: field(key, "key.name", "text", "e"), type: field(key, "key.type", "text", "S") },
      item_format: field(staged, "item_format", "text", "ranking/1"),
    };
    const whole = /^[A-Za-z0-9_.-]{3,255}$/.test(found.table) && ["S", "N"].includes(found.key.type) && found.key.name;
    return whole ? found : null;
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

// The table to ask for a lookup that names its release, "staged" or an id; null: an error. No other table stands in.
export function tableOf(bytes, query, environment, release) {
  const { table, served_release_id, region, key, item_format } = readPointer(bytes, query, environment);
  const document = JSON.parse(new TextDecoder().decode(bytes));
  const staged = stagedIn(document);
  if (staged) staged.region ||= region;
  if (release === "staged") return staged;
  const ask = (one) => ({ table: one, region, key, item_format });
  const named = [{ release: served_release_id, target: ask(table) }];
  if (staged) named.push({ release: releaseOf(staged.table), target: staged });
  for (const entry of document.previous ?? []) {
    const stated = entry.release_id || releaseOf(entry.table);
    if (["", stated].includes(releaseOf(entry.table))) named.push({ release: stated, target: ask(entry.table) });
  }
  return (release && named.find((one) => one.release === release)?.target) || null;
}

// -- items and the fallback list ---------------------------------------------------------------------------------

const number = (value) => typeof value === "number" && Number.isFinite(value);
const pairs = (value) =>
  Array.isArray(value) &&
  value.every((pair) => Array.isArray(pair) && pair.length === 2 && typeof pair[0] === "string" && number(pair[1]));
const FORMATS = {
  "ranking/1": pairs,
  "regression/1": number,
  "classification/1": (value) => pairs(value) && value.length > 0,
};

function predictions(value, format) {
  if (!FORMATS[format]?.(value)) throw new Refused(`not of the format ${format}`);
  return value;
}

export function readItem(text, format) {
  try {
    return predictions(JSON.parse(text), format);
  } catch (error) {
    throw new Refused(error.message);
  }
}

export function readFallback(bytes, query) {
  const document = JSON.parse(new TextDecoder().decode(bytes));
  if (document.schema_version !== 1 || document.query !== query) throw new Refused("not this query's");
  return { release_id: document.release_id ?? "", predictions: predictions(document.p, document.item_format) };
}

// -- looking up --------------------------------------------------------------------------------------------------

export function keyOf(entity, key) {
  let text = String(entity);
  if (key.type === "N") {
    if (!/^-?[0-9]{1,38}$/.test(text)) return null;
    text = BigInt(text).toString();
  }
  const size = Buffer.byteLength(text);
  return size === 0 || size > 2048 ? null : { [key.name]: { [key.type]: text } };
}

const THROTTLES = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];

// `crc`: the header x-amz-crc32, null when none was sent.
export function readResponse(operation, asked, status, body, crc, { table, key, item_format }) {
  if (crc !== null && Number(crc) !== crc32(Buffer.from(body))) return "retry";
  let document;
  try {
    document = JSON.parse(body);
  } catch {
    return "retry";
  }
  if (document === null || !TYPES.object(document)) return "retry";
  if (status !== 200) {
    const error = String(document.__type).split("#").at(-1);
    if (error === "ResourceNotFoundException") return "gone";
    if (THROTTLES.includes(error)) return "throttled";
    return status >= 500 || error === "ExpiredTokenException" ? "retry" : "refused";
  }
  if (operation === "GetItem" && document.Item === undefined && crc === null) return "retry";
  if (operation === "GetItem" && document.Item === null) return "retry";
  if (operation !== "GetItem" && !document.Responses?.[table] && !document.UnprocessedKeys?.[table]) return "retry";
  const rows = operation === "GetItem" ? [document.Item].filter(Boolean) : (document.Responses?.[table] ?? []);
  const found = new Map(rows.map((row) => [row[key.name][key.type], row.p?.S]));
  const left = (document.UnprocessedKeys?.[table]?.Keys ?? []).map((one) => one[key.name][key.type]);
  const outcome = (entity) => {
    if (left.includes(entity)) return { kind: "unprocessed" };
    if (!found.has(entity)) return { kind: "miss" };
    try {
      return { kind: "answer", predictions: readItem(found.get(entity), item_format) };
    } catch {
      return { kind: "malformed" };
    }
  };
  return Object.fromEntries(asked.map((entity) => [entity, outcome(entity)]));
}

// -- the vectors -------------------------------------------------------------------------------------------------

const folder = process.argv[2];
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));
const seen = (work) => {
  try {
    return { value: work() };
  } catch (error) {
    return { refused: error.message };
  }
};
let agreed = 0;
const differ = [];
const check = (file, name, agrees, got) => (agrees ? (agreed += 1) : differ.push({ file, name, got }));

const pointer = read("pointer");
for (const { name, document, text, valid, expect, names } of pointer.cases) {
  const bytes = new TextEncoder().encode(text ?? JSON.stringify(document));
  const got = seen(() => readPointer(bytes, pointer.query, pointer.environment));
  check("pointer", name, valid ? isDeepStrictEqual(got.value, expect) : got.refused?.includes(names), got);
}
const releases = read("release");
for (const { name, document, release, expect } of releases.cases) {
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  const got = seen(() => tableOf(bytes, releases.query, releases.environment, release));
  check("release", name, isDeepStrictEqual(got.value, expect), got);
}
for (const { name, format, p, valid, predictions: wanted } of read("item").cases) {
  const got = seen(() => readItem(p, format));
  check("item", name, valid ? isDeepStrictEqual(got.value, wanted) : "refused" in got, got);
}
const fallback = read("fallback");
for (const { name, document, valid, release_id, predictions: wanted } of fallback.cases) {
  const got = seen(() => readFallback(new TextEncoder().encode(JSON.stringify(document)), fallback.query));
  const agrees = valid ? isDeepStrictEqual(got.value, { release_id, predictions: wanted }) : "refused" in got;
  check("fallback", name, agrees, got);
}
for (const { name, key, entity, repeat, request } of read("key").cases) {
  const whole = repeat ? repeat[0].repeat(repeat[1]) : entity;
  const wanted = repeat && request ? { [key.name]: { [request]: whole } } : request;
  const got = seen(() => keyOf(whole, key));
  check("key", name, isDeepStrictEqual(got.value, wanted), got);
}
const responses = read("response");
for (const { name, operation, asked, status, body, crc32: stated, expect } of responses.cases) {
  const crc = stated === undefined ? crc32(Buffer.from(body)) : stated;
  const got = seen(() => readResponse(operation, asked, status, body, crc, responses));
  check("response", name, isDeepStrictEqual(got.value, expect), got);
}
console.log(JSON.stringify({ agreed, differ }, null, 1));
process.exitCode = differ.length ? 1 : 0;
