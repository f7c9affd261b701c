/** What of the fleet ends when: hosts' credentials, the fleet's CAs, the person's own log-in; the next to end first, each with what to type. Pure. */
import { X509Certificate } from "node:crypto";
import type { HostView } from "@muster/protocol/record";
import type { TrustBundle } from "@muster/protocol/trust";

const DAY_MS = 86_400_000;
/** Renewal should long have been: the host has told it as an event. */
const AMBER_LEFT = 1 / 3;
const RED_LEFT = 1 / 10;
/** Lives of what hosts do not say the beginning of. */
const LIFE_MS = { bus: 7 * DAY_MS, identity: 14 * DAY_MS, service: 7 * DAY_MS, ssh: 7 * DAY_MS } as const;
const WORDS = {
  bus: "bus access",
  identity: "log-in at Vault",
  service: "service certificate",
  ssh: "ssh host certificate",
} as const;

export type Expiry = {
  /** Host, person, or `fleet`. */
  readonly whose: string;
  readonly what: string;
  /** null: there is none. */
  readonly not_after: number | null;
  readonly state: "green" | "amber" | "red";
  readonly next: string;
};

function stateOf(span: { from: number; to: number }, now: number): Expiry["state"] {
  const left = (span.to - now) / (span.to - span.from);
  return left < RED_LEFT ? "red" : left < AMBER_LEFT ? "amber" : "green";
}

/** The credentials of one host, as it said itself when it was last heard, or as they were issued. */
function ofHost(view: HostView, now: number): Expiry[] {
  const { name, certificates } = view.record;
  const said = view.convergence?.certificates ?? [];
  const known =
    said.length > 0
      ? said
      : ([
          { name: "bus", not_after: certificates.user_jwt },
          { name: "service", not_after: certificates.service },
          { name: "ssh", not_after: certificates.ssh },
        ] as const);
  const rows = known.map((each): Expiry => {
    const { not_after } = each;
    const from = ("not_before" in each ? each.not_before : undefined) ?? not_after - LIFE_MS[each.name];
    const state = stateOf({ from, to: not_after }, now);
    const ended = each.name === "identity" && not_after <= now;
    return {
      whose: name,
      what: WORDS[each.name],
      not_after,
      state,
      next:
        state === "green"
          ? ""
          : view.silent
            ? `ctl status ${name}`
            : ended
              ? `ctl host identity ${name}`
              : `ctl events ${name}`,
    };
  });
  // Hosts that have never been heard may well have one.
  if (said.length > 0 && !said.some((each) => each.name === "identity"))
    rows.push({
      whose: name,
      what: WORDS.identity,
      not_after: null,
      state: "amber",
      next: `ctl host identity ${name}`,
    });
  return rows;
}

function ofBundle(bundle: TrustBundle, now: number): Expiry[] {
  const cas: readonly [string, readonly string[]][] = [
    ["CA of brokers", bundle.broker_ca],
    ["CA of people", bundle.operators_ca],
    ["CA of controllers", bundle.controllers_ca],
    ["CA of services", bundle.services_ca],
    ["CA of hosts' log-ins", bundle.identity_ca],
    ["CA of Vault", bundle.vault_ca],
  ];
  return cas.flatMap(([what, pems]) =>
    pems.map((pem): Expiry => {
      const { validFrom, validTo } = new X509Certificate(pem);
      const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
      const state = stateOf({ from, to }, now);
      return { whose: "fleet", what, not_after: to, state, next: "" };
    }),
  );
}

/** The next to end first; what is missing before all. `now` by the controller's clock. */
export function expiries(
  known: {
    readonly views: readonly HostView[];
    readonly bundle: TrustBundle;
    readonly person: { readonly name: string; readonly from: number; readonly to: number };
  },
  now: number,
): Expiry[] {
  const { name, ...span } = known.person;
  // Eight hours are a working day: nobody has to be told before the last tenth.
  const own = stateOf(span, now) === "red" ? "amber" : "green";
  return [
    ...known.views.flatMap((view) => ofHost(view, now)),
    ...ofBundle(known.bundle, now),
    {
      whose: name,
      what: "your log-in",
      not_after: span.to,
      state: own,
      next: own === "green" ? "" : `ctl login ${name}`,
    } satisfies Expiry,
  ].sort((one, other) => (one.not_after ?? 0) - (other.not_after ?? 0));
}
