/**
 * By a program: `ping` for an echo, since a process that is no program's child may open no such socket from Node; and a command of the inventory, in a unit of its
 * own under a user that may nothing, with limits, so that whatever it does is no burden of the agent's.
 */
import { randomBytes } from "node:crypto";
import { FleetError } from "@muster/protocol/errors";
import { durationMs } from "@muster/protocol/resources/amount";
import type { Check } from "@muster/protocol/resources/check";
import { TIME_IS_UP } from "../ports/run.ts";
import { isMissing } from "../store.ts";
import { bad, blind, good, type MakeWay, plain } from "./way.ts";

/** What systemd may need besides, before we end it ourselves. */
const GRACE_MS = 2_000;
const OUTPUT_CHARACTERS = 4_096;

export const icmp: MakeWay = (check, door) => async (signal) => {
  const seconds = Math.max(1, Math.ceil(durationMs(check.timeout) / 1_000));
  const args = ["-n", "-c", "1", "-W", String(seconds), check.icmp ?? ""];
  try {
    const limit = { timeout_ms: seconds * 1_000 + GRACE_MS };
    const { stdout, stderr } = await door.ports.run("ping", args, limit, signal);
    const took = /time[=<]([\d.]+) ms/.exec(stdout)?.[1];
    if (took !== undefined) return { ok: true, latency_ms: Number(took) };
    const said = /icmp_seq=\d+ (.+)/.exec(stdout)?.[1] ?? stderr.trim().replace(/^ping: /, "");
    return bad(said === "" ? `no reply within ${check.timeout}` : said);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    if (error.cause === TIME_IS_UP) return bad(`no reply within ${check.timeout}`);
    return blind(isMissing(error.cause) ? "there is no ping here (package iputils-ping)" : error.detail);
  }
};

export const command: MakeWay = (check, door) => async (signal) => {
  const { ports } = door;
  if (ports.confined !== null) return blind(`a command is the whole machine's: ${ports.confined}`);
  if (!(await ports.systemd.available()))
    return blind("there is no systemd here to run it apart from the agent");
  const said = { stdout: "", stderr: "" };
  const on_output = (from: "stdout" | "stderr", text: string) => {
    if (said[from].length < OUTPUT_CHARACTERS) said[from] += text.slice(0, OUTPUT_CHARACTERS);
  };
  const began_ms = performance.now();
  try {
    const argv = unitOf(check, `muster-check-${randomBytes(6).toString("hex")}`);
    const { code, ended_by } = await ports.runStreamed("systemd-run", argv, { on_output }, signal);
    if (code === 0) return good(began_ms);
    const words = plain(said.stdout.trim().split("\n")[0] || said.stderr.trim().split("\n").at(-1) || "");
    if (performance.now() - began_ms >= durationMs(check.timeout))
      return bad(`it took longer than ${check.timeout}`);
    const how = ended_by === null ? `ended with ${code}` : `was ended by ${ended_by}`;
    return bad(words === "" ? how : `${words} (${how})`);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return blind(error.detail);
  }
};

/** `env` finds the program as a shell would, and says 127 where there is none. */
export function unitOf(check: Check, unit: string): string[] {
  const seconds = Math.max(1, Math.ceil(durationMs(check.timeout) / 1_000));
  const properties = [
    ...(check.user === undefined ? ["DynamicUser=yes"] : [`User=${check.user}`]),
    `RuntimeMaxSec=${seconds}`,
    "TimeoutStopSec=1s",
    "MemoryMax=128M",
    "MemorySwapMax=0",
    "TasksMax=32",
    "CPUQuota=50%",
    "LimitCORE=0",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "RestrictSUIDSGID=yes",
  ];
  return [
    ...["--quiet", "--pipe", "--wait", "--collect", `--unit=${unit}`],
    ...properties.map((each) => `--property=${each}`),
    ...["--", "/usr/bin/env", "--", ...(check.command ?? [])],
  ];
}
