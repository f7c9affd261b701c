/** The hosts' own log-in at Vault: what it is called there, which `ctl` makes so and agents use, and the log-in itself. */
import { z } from "zod";

export const HOST_VAULT = {
  /** The cert role by which all hosts log in. */
  login_role: "muster-host",
  /** The token role that `ctl join` asks; as the path under which a wrapped token says that it was made. */
  join_token_role: "muster-join",
  join_token_path: "auth/token/create/muster-join",
  /** Where identity certificates are signed: by the token of a join string, and by the host itself. */
  identity: "identity-ca",
  join_role: "join",
  own_role: "own",
  services: "services",
  ssh: "ssh-host",
} as const;

/** A host's log-in: `key_pem` is a secret. */
export const HostLogin = z.strictObject({
  instance: z.string().max(64).describe("The certificate's common name, chosen by a person's ctl."),
  key_pem: z.string(),
  certificate: z.string().describe("PEM, the leaf alone."),
});
export type HostLogin = z.infer<typeof HostLogin>;
