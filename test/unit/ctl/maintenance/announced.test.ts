/** What a host announces, and what of it would be gone with it. */
import { announcedAlone, announcedBy, drainsGracefully } from "@muster/ctl/maintenance/announced";
import { isQuiet, trafficText } from "@muster/ctl/maintenance/traffic";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const bird = (config: string, exported: string[] = []) => ({
  config,
  expect: exported.length === 0 ? {} : { upstream: { export: exported } },
});

suite("what a drain takes away", (test) => {
  test("its unreachable routes and what it must export; routes that lead somewhere are not its own", () => {
    const one = bird(
      'protocol static { ipv6; route 2001:db8:5000::/36 unreachable; route 2001:db8:6000::/36 via "eth1"; }',
      ["192.0.2.0/24"],
    );
    assert.equal(announcedBy(one), ["192.0.2.0/24", "2001:db8:5000::/36"]);
    assert.equal(announcedAlone(one, [bird("", ["192.0.2.0/24"])]), ["2001:db8:5000::/36"]);
    assert.equal(announcedAlone(one, []), announcedBy(one));
  });

  test("the include line, and not one in a comment", () => {
    assert.ok(drainsGracefully(bird('  include "/etc/bird/muster.conf";\n')));
    assert.not.ok(drainsGracefully(bird('# include "/etc/bird/muster.conf";\n')));
    assert.not.ok(drainsGracefully(bird('include "/etc/bird/other.conf";\n')));
  });

  test("traffic: a megabit is quiet, and so is a tenth of what there was", () => {
    const before = new Map([["eth1", 410e6]]);
    assert.ok(isQuiet(before, new Map([["eth1", 40e6]])));
    assert.not.ok(isQuiet(before, new Map([["eth1", 42e6]])));
    assert.ok(isQuiet(new Map(), new Map([["eth1", 900_000]])));
    assert.is(trafficText(before, new Map([["eth1", 3e6]])), "eth1 410 → 3 Mbit/s");
  });
});
