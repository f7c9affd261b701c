/** What a hostile controller may not do at the broker: speak as a host, change what is stored, take another account. That all subjects are refused is in subjects.test.ts. */
import { createNkey, type JwtSigner, STREAMS, subjects } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { forgedJwt } from "../forged-jwt.ts";
import type { Attempt } from "./attempts.ts";
import type { HostileController } from "./hostile.ts";

type Target = {
  readonly id: string;
  readonly host: string;
  readonly system: string;
  readonly enrol: string;
};

/** `denied` holds the subjects that the broker has refused to the controller's connection. */
export function busAttempts(
  hostile: HostileController,
  target: Target,
  denied: ReadonlySet<string>,
  signal: AbortSignal,
): Attempt[] {
  const { id, host } = target;
  const publish = (what: string, subject: string): Attempt => ({
    promise: "P4",
    by: "broker",
    what,
    refused: ["BUS_DENIED"],
    async act() {
      hostile.bus.publish(subject, Buffer.from("{}"));
      await hostile.bus.roundTrip();
      await hostile.bus.roundTrip();
      if (denied.has(subject)) throw new FleetError("BUS_DENIED", subject);
    },
  });
  const dial = (what: string, make: (key: string) => Promise<string>): Attempt => ({
    promise: "P2",
    by: "broker",
    what,
    refused: ["NOT_LOGGED_IN", "BAD_SIGNATURE"],
    async act() {
      const key = createNkey("user");
      const bus = await hostile.dial(await make(key.public), key, signal);
      await bus.close();
    },
  });
  const forge = async (
    role: "agent" | "controller",
    top: Record<string, unknown>,
    nats: Record<string, unknown>,
  ) => {
    const signer: JwtSigner = await hostile.roleSigner(role);
    return forgedJwt({ exp: Math.floor(Date.now() / 1000) + 600, ...top }, nats, signer);
  };
  const account = hostile.config.account;
  const everything = { pub: { allow: [">"] }, sub: { allow: [">"] } };
  return [
    publish("speak as a host: telemetry", subjects.telemetry(id, host, "convergence")),
    publish("speak as a host: an event", subjects.event(id, host, "drift")),
    publish("speak as a host: its audit", `_R_.store.${subjects.audit(id, "rpc")}`),
    publish("speak as a host: ask for its renewal", subjects.host(id, "renew")),
    publish("give a host its state past the stream", subjects.liveDesired(id)),
    publish("give all a trust bundle past the stream", subjects.liveTrust()),
    publish("push an account without a revocation", "$SYS.REQ.CLAIMS.UPDATE"),
    ...STREAMS.flatMap(({ name }) =>
      ["CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "RESTORE"].map((verb) =>
        publish(`${verb.toLowerCase()} at stream ${name}`, `$JS.API.STREAM.${verb}.${name}`),
      ),
    ),
    publish("a consumer that delivers elsewhere", "$JS.API.CONSUMER.CREATE.DESIRED.c"),
    dial("bus access of account SYS", (sub) =>
      forge("controller", { name: "x", sub }, { issuer_account: target.system }),
    ),
    dial("bus access of account ENROL", (sub) =>
      forge("controller", { name: "x", sub }, { issuer_account: target.enrol }),
    ),
    dial("bus access with rights of its own making", (sub) =>
      forge("controller", { name: "x", sub }, { issuer_account: account, ...everything }),
    ),
    dial("bus access that needs no key", (sub) =>
      forge("controller", { name: "x", sub }, { issuer_account: account, bearer_token: true }),
    ),
    dial("bus access under a host's key", () =>
      forge("agent", { name: host, sub: id }, { issuer_account: account }),
    ),
  ];
}
