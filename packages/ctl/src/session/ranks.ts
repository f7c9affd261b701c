/** The ranks of people, what Vault calls them, and how long an authority lives. Pure. */

/** From least to most. */
export const PERSON_RANKS = ["viewer", "ci", "operator", "admin"] as const;
export type PersonRank = (typeof PERSON_RANKS)[number];

/** Vault's policy for a rank, as `ctl init` writes it. */
export const policyOf = (rank: PersonRank | "controller" | "backup") => `muster-${rank}`;

/** How long a person's authority lives. */
export const AUTHORITY_S = 8 * 3_600;
