/**
 * What an admin types of who comes in by a provider or a forge, made into claims. A forge's job has to be of one project and one protected branch: whoever may
 * push to another branch could else sign in the fleet's name. Pure. Sources: docs.gitlab.com/ci/secrets/id_token_authentication,
 * docs.github.com/actions/reference/security/oidc.
 */
import { FleetError } from "@muster/protocol/errors";
import { suggest } from "../inventory/problem.ts";
import type { Claims } from "./vault-logins.ts";

const CLAIM = /^([A-Za-z0-9_:./-]{1,100})=([^\p{Cc}]{1,256})$/u;

function readClaim(text: string, option: string): readonly [string, string] {
  const [, claim, value] = CLAIM.exec(text) ?? [];
  if (claim === undefined || value === undefined)
    throw new FleetError("USAGE", `${option} ${JSON.stringify(text.slice(0, 80))}: must be claim=value`);
  return [claim, value];
}

/** The claim that is a person, from `email=bob@example.org`. An address counts only where the provider says that it is verified. Errors: USAGE. */
export function personClaims(text: string): Claims {
  const claim = readClaim(text, "--oidc");
  return claim[0] === "email" ? [claim, ["email_verified", true]] : [claim];
}

type Forge = {
  readonly project: string;
  /** A branch, as the forge's tokens say it. */
  ref(branch: string): string;
  /** What else has to stand in the token. */
  readonly more: readonly (readonly [string, string | readonly string[]])[];
};

export const FORGES: Readonly<Record<string, Forge>> = {
  gitlab: {
    project: "project_path",
    ref: (branch) => branch,
    more: [
      ["ref_type", "branch"],
      ["ref_protected", "true"],
    ],
  },
  github: {
    project: "repository",
    ref: (branch) => `refs/heads/${branch}`,
    more: [
      ["ref_type", "branch"],
      ["ref_protected", "true"],
      // `pull_request_target` runs on the protected branch as well, for anybody's pull request.
      ["event_name", ["push", "schedule", "workflow_dispatch"]],
    ],
  },
};

export type Job = {
  readonly forge: string;
  readonly project: string | undefined;
  readonly ref: string | undefined;
  readonly more: readonly string[];
};

/** The claims of a job's token; the first names the job. Errors: USAGE with what is missing. */
export function jobClaims({ forge, project, ref, more }: Job): Claims {
  const given = more.map((text) => readClaim(text, "--claim"));
  if (forge === "other") {
    const [first, ...rest] = given;
    if (first === undefined || rest.length === 0 || (project ?? ref) !== undefined)
      throw new FleetError(
        "USAGE",
        "with --forge other say --claim: at least one for the project and one for the branch",
      );
    return [first, ...rest];
  }
  const known = FORGES[forge];
  if (known === undefined)
    throw new FleetError(
      "USAGE",
      `--forge ${forge}: no such forge${suggest(forge, Object.keys(FORGES))}; there are ${Object.keys(FORGES).join(", ")}, other`,
    );
  if (project === undefined || ref === undefined)
    throw new FleetError("USAGE", `--forge ${forge} needs --project PATH and --ref BRANCH`);
  return [
    readClaim(`${known.project}=${project}`, "--project"),
    readClaim(`ref=${known.ref(ref)}`, "--ref"),
    ...known.more,
    ...given,
  ];
}
