/** The ranks of people, what Vault calls them, and how long an authority lives. Pure. */

/** From least to most. */
export const PERSON_RANKS = ["viewer", "ci", "operator", "admin"] as const;
export type PersonRank = (typeof PERSON_RANKS)[number];

/** The policy of a rank or a program at Vault; of `""` what all of them begin with. */
export const policyOf = (
  who: PersonRank | "controller" | "backup" | "check" | "bootstrap" | "init" | "host" | "join" | "guest" | "",
) => `muster-${who}`;

/** How long a person's authority lives. */
export const AUTHORITY_S = 8 * 3_600;
