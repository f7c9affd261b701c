/**
 * A child process with everything it starts: run as the leader of its own process group, kept to a time limit, and
 * gone with all its children afterwards.
 */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { LEAST_PATIENCE, patienceNow } from "./slowness.mjs";

/** How long the children of an ended process may take to go by themselves, on a machine that is not slow. */
const LEFTOVER_LIMIT_MS = 2_000;
/** How long its pipes may stay open after that. */
const PIPES_LIMIT_MS = 5_000;
/** What is kept of the output: its end. */
const OUTPUT_LIMIT_CHARS = 1_000_000;

const running = new Set();

/** Kills every group that still runs; for the end of the whole run. */
export function killAll() {
  for (const pid of running) signalGroup(pid);
}

/**
 * Runs a command to its end. Gives `{ code, signal, output, late, leftovers, ms }`: `late` when it was killed at
 * `limit_ms`, `leftovers` the names of processes that it left behind (they are killed). Three times the limit are given, and more on a machine that is slow then.
 * `last_words` is given its pid and a function that gives its output so far, before it is killed at its limit: what it resolves with is added to the output.
 */
export async function runGroup(command, args, { cwd, env, limit_ms, echo = false, last_words }) {
  const begun_ms = performance.now();
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      if (echo) process.stdout.write(text);
      output = (output + text).slice(-OUTPUT_LIMIT_CHARS);
    });
  }
  const closed = new Promise((resolve) => child.once("close", resolve));
  let late = false;
  let timer;
  const over = () => {
    // Also on a fast machine by way of the loop: it may have ended meanwhile.
    timer = setTimeout(kill, limit_ms * (patienceNow() - LEAST_PATIENCE));
  };
  const kill = async () => {
    late = true;
    const words = await last_words?.(child.pid, () => output);
    if (words !== undefined) output += `\n${words}\n`;
    signalGroup(child.pid);
  };
  const { code, signal } = await new Promise((resolve) => {
    child.once("error", (error) => {
      output += `${error.message}\n`;
      resolve({ code: 127, signal: null });
    });
    child.once("exit", (exit_code, exit_signal) => resolve({ code: exit_code, signal: exit_signal }));
    if (child.pid === undefined) return;
    running.add(child.pid);
    timer = setTimeout(over, limit_ms * LEAST_PATIENCE);
  });
  clearTimeout(timer);
  const leftovers = child.pid === undefined ? [] : await clearGroup(child.pid);
  // A grandchild that left the group can hold the pipes open: do not wait for it for ever. But a busy loop reads the last lines late.
  await Promise.race([closed, sleep(PIPES_LIMIT_MS, undefined, { ref: false })]);
  running.delete(child.pid);
  return { code, signal, output, late, leftovers: late ? [] : leftovers, ms: performance.now() - begun_ms };
}

async function clearGroup(pid) {
  const begun_ms = performance.now();
  const least_ms = LEFTOVER_LIMIT_MS * LEAST_PATIENCE;
  let limit_ms = least_ms;
  let alive = members(pid);
  while (alive.length > 0) {
    const past_ms = performance.now() - begun_ms;
    if (past_ms > least_ms && limit_ms === least_ms) limit_ms = LEFTOVER_LIMIT_MS * patienceNow();
    if (past_ms > limit_ms) break;
    await sleep(50);
    alive = members(pid);
  }
  if (alive.length > 0) signalGroup(pid);
  return alive;
}

function signalGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/**
 * The names of a group's live processes, from /proc (proc(5)); zombies do not count: in a container without an init
 * they stay for ever. Without /proc (macOS) it says nothing, and leftovers go unseen.
 */
function members(group) {
  let entries;
  try {
    entries = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
  const names = [];
  for (const entry of entries) {
    let stat;
    try {
      stat = readFileSync(`/proc/${entry}/stat`, "utf8");
    } catch {
      continue; // It ended between the listing and the reading.
    }
    // "pid (name) state parent group …"; the name may hold spaces and brackets.
    const [state, , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(pgrp) === group && state !== "Z")
      names.push(stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")));
  }
  return names;
}
