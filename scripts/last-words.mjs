/**
 * What a Node process does that is about to be killed: where its code is when its loop stands still, what it waits for when the loop turns, and how its
 * threads are when neither can be had. Run as a program of its own, it prints that for the address of a debugger; `lastWords` has one opened and asks.
 *
 *   node --experimental-websocket scripts/last-words.mjs ws://127.0.0.1:PORT/ID
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { argv, execPath, stdout } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ANSWER_MS = 3_000;
const FRAMES = 20;
/** What the process is to be started with, so that no two want the same port. */
export const NODE_OPTIONS = ["--inspect-port=127.0.0.1:0"];

/** `output` gives what the process has written: it says there where its debugger listens. Never throws. */
export async function lastWords(pid, output) {
  try {
    process.kill(pid, "SIGUSR1");
    const until_ms = performance.now() + ANSWER_MS;
    let url;
    while (url === undefined && performance.now() < until_ms) {
      await sleep(50);
      url = /Debugger listening on (ws:\S+)/.exec(output())?.[1];
    }
    if (url === undefined) return threads(pid);
    const said = await new Promise((resolve) => {
      const args = ["--experimental-websocket", "--no-warnings", fileURLToPath(import.meta.url), url];
      execFile(execPath, args, { timeout: 4 * ANSWER_MS }, (_error, text) => resolve(text));
    });
    return said === "" ? threads(pid) : said;
  } catch (error) {
    return `it could not be asked what it does: ${error.message}`;
  }
}

/** Each thread's name, state and what it waits for in the kernel, from /proc (proc(5)). */
function threads(pid) {
  const of = (thread, file) => readFileSync(`/proc/${pid}/task/${thread}/${file}`, "utf8").trim();
  const lines = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = of(thread, "stat");
    const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return `${of(thread, "comm")} ${state} ${of(thread, "wchan")}, ${rest[10]} and ${rest[11]} hundredths of a second`;
  });
  return ["its code does not answer; its threads:", ...lines].join("\n");
}

async function ask(url) {
  const socket = new WebSocket(url);
  const waiting = new Map();
  const files = new Map();
  let paused = () => undefined;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.method === "Debugger.scriptParsed") files.set(message.params.scriptId, message.params.url);
    if (message.method === "Debugger.paused") paused(message.params);
    waiting.get(message.id)?.(message.result);
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the debugger does not listen"));
  });
  const send = (method, params = {}) =>
    new Promise((resolve) => {
      const id = waiting.size + 1;
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  const late = () => sleep(ANSWER_MS, null, { ref: false });

  const expression =
    "new Promise((turned) => setImmediate(() => turned(process.getActiveResourcesInfo().join(', '))))";
  const idle = await Promise.race([send("Runtime.evaluate", { expression, awaitPromise: true }), late()]);
  if (idle !== null) return `its loop turns and waits for: ${idle.result.value}`;
  const at = new Promise((resolve) => {
    paused = resolve;
  });
  send("Debugger.enable");
  send("Debugger.pause");
  const found = await Promise.race([at, late()]);
  if (found === null) return "";
  const frames = found.callFrames.slice(0, FRAMES).map(({ functionName, location }) => {
    const name = functionName === "" ? "(nameless)" : functionName;
    return `    at ${name} ${files.get(location.scriptId)}:${location.lineNumber + 1}`;
  });
  return ["its loop stands still:", ...frames].join("\n");
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  stdout.write(await ask(argv[2]).catch(() => ""));
  process.exit(0);
}
