/** A call to the engine whose answer never comes: it ends with its time, and leaves nothing on the agent's own signal. The library does so when an answer breaks off; a real engine cannot be made to. */
import { getEventListeners } from "node:events";
import { asking } from "@muster/agent/ports/docker-ask";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

suite("a call to the engine", (test) => {
  const ask = asking(async () => ({}) as never, "/run/docker.sock");
  const never = () => new Promise<never>(() => undefined);

  test("leaves no listener behind, whether it is answered, refused, or never heard of again", async () => {
    const life = new AbortController();
    const listeners = () => getEventListeners(life.signal, "abort").length;
    assert.is(await ask("info", 60_000, life.signal, async () => 7), 7);
    for (let at = 0; at < 3; at += 1) {
      const error = await ask("logs", 10, life.signal, never).catch((cause: unknown) => cause);
      assert.instance(error, FleetError);
      assert.is((error as FleetError).code, "DOCKER_UNREACHABLE");
    }
    assert.is(listeners(), 0);
    const waiting = ask("logs", 60_000, life.signal, never).catch((cause: unknown) => cause);
    life.abort();
    assert.is(((await waiting) as FleetError).code, "CANCELLED");
    assert.is(listeners(), 0);
  });
});
