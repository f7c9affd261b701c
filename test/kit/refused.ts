/** What a real server refuses a client: publishes or subscribes to all of it, and listens to what the server says. */
import type { Bus } from "@muster/ports/bus";

const EMPTY = new Uint8Array();

/** Which of these the server refuses, for publishing. `body`: what each message holds. */
export async function refusedPublish(
  bus: Bus,
  wanted: readonly string[],
  body: Uint8Array = EMPTY,
): Promise<string[]> {
  return heard(bus, wanted, () => {
    for (const subject of wanted) bus.publish(subject, body);
    return [];
  });
}

/** Which of these the server refuses, for subscribing. */
export async function refusedSubscribe(bus: Bus, wanted: readonly string[]): Promise<string[]> {
  return heard(bus, wanted, () => wanted.map((subject) => bus.subscribe(subject, {}, () => {})));
}

async function heard(bus: Bus, wanted: readonly string[], act: () => (() => void)[]): Promise<string[]> {
  const refused = new Set<string>();
  const stop = bus.onStatus((event) => {
    if (event.type === "denied") refused.add(event.subject);
  });
  const ends = act();
  await bus.roundTrip();
  await bus.roundTrip();
  stop();
  for (const end of ends) end();
  return wanted.filter((subject) => refused.has(subject));
}
