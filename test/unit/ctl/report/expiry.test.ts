/** What ends when: the order, the colours and what to type. */
import { makeCa } from "@muster/ports/csr";
import type { HostView } from "@muster/protocol/record";
import type { TrustBundle } from "@muster/protocol/trust";
import * as assert from "uvu/assert";
import { expiries } from "../../../../packages/ctl/src/report/expiry.ts";
import { suite } from "../../../kit/suite.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 0, 1);

suite("expiry", (test) => {
  const view = (name: string, certificates: object[], silent = false) =>
    ({
      record: { name, certificates: { user_jwt: NOW + DAY, service: NOW + 5 * DAY, ssh: NOW - DAY } },
      silent,
      convergence: certificates.length === 0 ? null : { certificates },
    }) as unknown as HostView;
  const span = (name: string, from: number, to: number) => ({
    name,
    not_before: NOW + from * DAY,
    not_after: NOW + to * DAY,
  });

  test("the next to end first, amber below a third, red below a tenth, each with what to type", async () => {
    const { certificate_pem } = await makeCa({ common_name: "lab", not_after: Date.now() + 3_650 * DAY });
    const cas = {
      broker_ca: [certificate_pem],
      operators_ca: [],
      controllers_ca: [],
      services_ca: [],
      identity_ca: [],
      vault_ca: [],
    };
    const rows = expiries(
      {
        views: [
          view("core1", [
            span("bus", -1, 6),
            span("identity", -1, 13),
            span("service", -21, 9),
            span("ssh", -28, 2),
          ]),
          view("ixp1", [span("bus", -1, 6), span("identity", -15, -1)]),
          view("probe1", [span("bus", -6, 1)]),
          view("edge1", [], true),
        ],
        bundle: cas as unknown as TrustBundle,
        person: { name: "alice", from: NOW - 7.5 * 3_600_000, to: NOW + 0.5 * 3_600_000 },
      },
      NOW,
    );
    const wrong = rows.filter(({ state }) => state !== "green");
    assert.equal(
      wrong.map(({ whose, what, state, next }) => [whose, what, state, next]),
      [
        ["probe1", "log-in at Vault", "amber", "ctl host identity probe1"],
        ["ixp1", "log-in at Vault", "red", "ctl host identity ixp1"],
        ["edge1", "ssh host certificate", "red", "ctl status edge1"],
        ["alice", "your log-in", "amber", "ctl login alice"],
        ["probe1", "bus access", "amber", "ctl events probe1"],
        ["edge1", "bus access", "amber", "ctl status edge1"],
        ["core1", "ssh host certificate", "red", "ctl events core1"],
        ["core1", "service certificate", "amber", "ctl events core1"],
      ],
    );
    assert.is(rows.at(-1)?.what, "CA of brokers");
    assert.is(rows.filter(({ whose }) => whose === "core1").length, 4);
  });
});
