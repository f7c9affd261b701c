/** `ctl rpc`: any method of the table to any hosts, for scripts and for looking closely. Works without a controller. */
import { FleetError, parse } from "@muster/protocol/errors";
import type { RpcMethod, RpcReply, RpcRequest } from "@muster/protocol/rpc/index";
import { RPC_METHODS, rpcRow } from "@muster/protocol/rpc/row";
import { readDuration } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { askedExit, askHosts, missingJson, tellMissing } from "../roster/ask.ts";

export const rpc = defineCommand({
  name: "rpc",
  args: "<method> [selector]",
  options: {
    args: { flag: "--args <json>", help: "the request, {} without it" },
    timeout: { flag: "--timeout <duration>", help: "how long to wait for the slowest: 2s" },
  },
  example: `ctl rpc ping                            who is there; exit 4 names the silent
ctl rpc bgp ixp1 --args '{"session":"upstream"}' --json
ctl rpc reconcile ixp                   look again now
ctl rpc ping "routers and not (site=ams or fact.bird>=2.16)"`,
  async run(context, { args, options }) {
    const { output } = context;
    const method = methodOf(args[0] ?? "");
    const timeout_ms = options.timeout === undefined ? undefined : readDuration(options.timeout);
    if (options.timeout !== undefined && timeout_ms === undefined)
      throw new FleetError("USAGE", `--timeout ${options.timeout}: must be like 2s`);
    const began = performance.now();
    const asked = await askHosts(
      context,
      args[1] ?? "all",
      method,
      await requestOf(method, options.args),
      timeout_ms,
    );
    for (const { name, reply } of asked.answered)
      output.line(`${output.colour.bold(name)}  ${replyText(method, reply)}`);
    tellMissing(context, asked);
    output.json({
      took_ms: Math.round(performance.now() - began),
      answered: Object.fromEntries(asked.answered.map(({ name, reply }) => [name, reply])),
      ...missingJson(asked),
    });
    return askedExit(asked);
  },
});

function methodOf(typed: string): RpcMethod {
  const method = RPC_METHODS.find((each) => each === typed);
  if (method === undefined)
    throw new FleetError("USAGE", `no method ${typed}; there are ${RPC_METHODS.join(", ")}`);
  return method;
}

async function requestOf(method: RpcMethod, typed: string | undefined): Promise<RpcRequest<RpcMethod>> {
  let value: unknown;
  try {
    value = JSON.parse(typed ?? "{}");
  } catch (cause) {
    throw new FleetError("USAGE", `--args: that is no JSON: ${typed}`, { cause });
  }
  const { request } = await rpcRow(method);
  try {
    return parse(request, value, `--args of ${method}`) as RpcRequest<RpcMethod>;
  } catch (error) {
    if (error instanceof FleetError) throw new FleetError("USAGE", error.detail, { cause: error });
    throw error;
  }
}

function replyText(method: RpcMethod, reply: RpcReply<RpcMethod>): string {
  if (method !== "ping") return JSON.stringify(reply);
  const { host, version } = reply as RpcReply<"ping">;
  return `is there as ${host}, agent ${version}`;
}
