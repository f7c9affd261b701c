/** RPC `login`: the host's curve key and how its log-in at Vault stands; a token that comes sealed is kept, and used by the renewal loop at once. */
import type { Call } from "@muster/ports/dispatch";
import type { RpcReply, RpcRequest } from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { LoginToken, proveCurve } from "@muster/protocol/rpc/login";
import { openSealed } from "@muster/protocol/sealed";
import type { RpcDoor } from "./door.ts";

export const login =
  ({ identity, credentials, vault_bell, events }: RpcDoor) =>
  async ({ sealed }: RpcRequest<"login">, call: Call): Promise<RpcReply<"login">> => {
    if (sealed !== undefined) {
      if (call.principal === null) throw new FleetError("UNSIGNED", "a log-in needs a signer");
      const opened = openSealed(sealed.from, Buffer.from(sealed.box, "base64"), identity.curve);
      await credentials.holdToken(parseJson(LoginToken, opened, "token for a log-in"));
      const { name } = call.principal;
      events.tell({
        kind: "credentials",
        severity: "info",
        what: `${name} gave it a log-in at Vault`,
        by: name,
      });
      vault_bell.ring();
    }
    return {
      curve: identity.curve.public,
      proof: proveCurve(identity.nkey, identity.curve.public),
      until: credentials.kept?.spans.identity?.to ?? null,
      pending: credentials.kept?.join_token !== undefined,
    };
  };
