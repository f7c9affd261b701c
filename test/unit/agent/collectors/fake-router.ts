/** A collector of BGP over a BIRD that answers as it is told to, on a clock that is told to pass. */
import { setTimeout as sleep } from "node:timers/promises";
import { type BgpCollector, createBgp } from "@muster/agent/collectors/bgp";
import { createRouting, createRun, type Ports } from "@muster/agent/ports/index";
import { type BgpSample, Bird } from "@muster/protocol";
import * as assert from "uvu/assert";
import { type FakeBird, fakeBird, transcript } from "../../../kit/fake-bird.ts";
import { hostPrefix, portsBelow } from "../resources/private-bird.ts";

export const ROUTER = "routers/2.17.6";
export const SPEC = Bird.parse({ config: "protocol bgp upstream { neighbor 10.9.0.2 as 64496; }" });

export type Ground = {
  readonly fake: FakeBird;
  readonly bgp: BgpCollector;
  readonly signal: AbortSignal;
  /** Where the host's files lie. */
  readonly path: string;
  /** Time passes when it is told to. */
  pass(ms: number): void;
};

export async function withFake(
  body: (ground: Ground) => Promise<void>,
  reply_ms = 5_000,
  spec: Bird | null = SPEC,
  survey_ms = 0,
): Promise<void> {
  const life = new AbortController();
  const fake = fakeBird({ greeting: transcript(ROUTER, "greeting") });
  const prefix = await hostPrefix();
  good(fake);
  await fake.start();
  let now_ms = Date.now();
  const now = () => now_ms;
  const routing = createRouting(
    { socketPath: fake.socketPath, binary: "/nonexistent", run: createRun(), reply_ms, now },
    life.signal,
  );
  const survey: typeof routing.survey = async (signal) => {
    if (survey_ms > 0) await sleep(survey_ms);
    return routing.survey(signal);
  };
  const ports: Ports = {
    ...portsBelow(prefix.path, life.signal),
    routing: { ...routing, survey },
    now,
  };
  try {
    const bgp = createBgp(ports, () => spec);
    const { path } = prefix;
    await body({ fake, bgp, path, signal: life.signal, pass: (ms) => (now_ms += ms) });
  } finally {
    life.abort();
    await fake.dispose();
    await prefix.release();
  }
}

export function good(fake: FakeBird): void {
  fake.answers.clear();
  fake.answers.set("restrict", transcript(ROUTER, "restrict"));
  fake.answers.set("show status", transcript(ROUTER, "show-status"));
  fake.answers.set("show protocols", transcript(ROUTER, "show-protocols"));
  fake.answers.set("show protocols all", transcript(ROUTER, "show-protocols-all"));
}

export const upstream = (sample: BgpSample | null) =>
  sample?.sessions.find(({ name }) => name === "upstream");

/** Seen well first, then as `change` leaves it: what the next poll says. */
export async function afterwards(ground: Ground, change: (fake: FakeBird) => void | Promise<void>) {
  const first = await ground.bgp.poll(ground.signal);
  assert.is(upstream(first.sample)?.verdict, "ok");
  await change(ground.fake);
  ground.pass(700);
  return ground.bgp.poll(ground.signal);
}
