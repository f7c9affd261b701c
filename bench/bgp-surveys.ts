/** The child of bgp.ts: surveys a BIRD so many times, as the agent does, and says what each cost this process. Run with the agent's own flags of V8 or without. */
import { argv, cpuUsage, memoryUsage, stdout } from "node:process";
import { createRouting, createRun } from "@muster/agent/ports/index";

const [socketPath = "", count = "1"] = argv.slice(2);
const life = new AbortController();
const routing = createRouting({ socketPath, binary: "/nonexistent", run: createRun() }, life.signal);
const costs: number[] = [];
for (let at = 0; at < Number(count); at += 1) {
  const before = cpuUsage();
  const { sessions } = await routing.survey(life.signal);
  const used = cpuUsage(before);
  costs.push((used.user + used.system) / 1_000);
  if (sessions.length === 0) throw new Error("no session was read");
}
stdout.write(JSON.stringify({ costs, rss_mib: memoryUsage.rss() / 2 ** 20 }));
life.abort();
