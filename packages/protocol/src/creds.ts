/** A creds file as NATS tools read it: a user JWT and the seed of its key (github.com/nats-io/jwt, creds_utils). Secret: mode 0600. */

export function credsText(user_jwt: string, seed: string): string {
  return `-----BEGIN NATS USER JWT-----
${user_jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
}
