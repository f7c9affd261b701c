/** What `ctl status` knows of what is signed, and why when it does not: a host that is behind unseen would look healthy. */
import { CertificateReader, FleetError } from "@muster/protocol";
import * as assert from "uvu/assert";
import { signedGenerations } from "../../../../packages/ctl/src/commands/status.ts";
import { suite } from "../../../kit/suite.ts";

const host = (name: string) => ({ name, id: `U${"A".repeat(55)}` });
const session = (rank: "viewer" | "operator") => ({
  rank,
  fleet: "as64500",
  verifier: {
    certificates: new CertificateReader({ operators: [], controllers: [] }),
    voided: () => false,
  },
});
const bus = (answer: () => null) => ({ directGet: async () => answer() });
const nothing = bus(() => null);
const unasked = bus(() => {
  throw new Error("must not be asked");
});

suite("status: what is signed", (test) => {
  test("none signed is known, and is no reason to speak", async () => {
    const { signed, unknown } = await signedGenerations(session("operator"), nothing, [host("core1")]);
    assert.equal([...signed], [["core1", 0]]);
    assert.is(unknown, null);
    assert.is((await signedGenerations(session("viewer"), unasked, [])).unknown, null);
  });

  test("never silent: a viewer, a large fleet, a bus that fails", async () => {
    const viewer = await signedGenerations(session("viewer"), unasked, [host("core1")]);
    assert.is(viewer.unknown, "a viewer may not read it");
    const many = Array.from({ length: 257 }, (_, index) => host(`core${index}`));
    const large = await signedGenerations(session("operator"), unasked, many);
    assert.is(large.unknown, "read for 256 hosts at most, these are 257: ctl status GROUP");
    const failing = bus(() => {
      throw new FleetError("BUS_UNREACHABLE", "no stream DESIRED");
    });
    const failed = await signedGenerations(session("operator"), failing, [host("core1")]);
    assert.match(failed.unknown ?? "", /no stream DESIRED/);
    for (const { signed } of [viewer, large, failed]) assert.is(signed.size, 0);
  });
});
