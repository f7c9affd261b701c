/** Moments of a container that falls again and again, which a real engine shows only by chance: asked between two falls, it does not know how the last one ended. */
import { containerFacts } from "@muster/agent/ports/docker-facts";
import { untilReady } from "@muster/agent/resources/container-ready";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

type Told = Parameters<typeof containerFacts>[0];
type Docker = Parameters<typeof untilReady>[2];

/** As the engine tells it: the code is 0 from the moment it starts the container again. */
const moment = (Status: string, ExitCode: number, RestartCount: number) =>
  containerFacts({
    Id: "1",
    Image: "sha256:1",
    RestartCount,
    Config: { Labels: {} },
    HostConfig: {},
    NetworkSettings: { Networks: {} },
    State: { Status, ExitCode, StartedAt: new Date().toISOString(), FinishedAt: "" },
  } as unknown as Told);

suite("readiness of a container that falls", (test) => {
  test("asked between two falls, it waits for the next one to say how it ended", async () => {
    const moments = [moment("running", 0, 2), moment("running", 0, 3), moment("restarting", 3, 3)];
    const docker = {
      container: async () => moments.shift() ?? assert.unreachable("asked after it was known"),
      exec: async () => ({ code: 1, output: "" }),
      logTail: async () => "no such option: --turbo\n",
    } as unknown as Docker;
    const spec = { ready: { command: ["true"], within: "60s" } } as Parameters<typeof untilReady>[1];
    assert.is(
      await untilReady("web", spec, docker, AbortSignal.timeout(30_000)),
      "does not stay up: it ended with code 3; its log ends: no such option: --turbo",
    );
  });

  test("one that runs, or never ran, has no code", () => {
    assert.is(moment("running", 0, 4).exit_code, null);
    assert.is(moment("created", 0, 0).exit_code, null);
    assert.is(moment("exited", 0, 0).exit_code, 0);
  });
});
