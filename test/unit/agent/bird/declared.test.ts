/** Declared sessions: against the recording of the same file, and against what people write. */
import { readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import { declaredSessions } from "../../../../packages/agent/src/bird/declared.ts";
import { suite } from "../../../kit/suite.ts";

const line = (text: string, read?: (path: string) => string | null) =>
  declaredSessions(text, read).sessions.map(
    ({ name, neighbor, as, dynamic, disabled }) =>
      `${name} ${neighbor} ${as}${dynamic ? " dynamic" : ""}${disabled ? " disabled" : ""}`,
  );

suite("bird declared", (test) => {
  test("the file of the recording declares just the sessions that BIRD showed", () => {
    const path = new URL("../../../transcripts/bird/2.0.12/bird.conf", import.meta.url);
    assert.equal(line(readFileSync(path, "utf8")), [
      "upstream ::1 64496",
      "a_session_with_a_very_long_name 2001:db8:1ee::1 64499",
      "locix_rs1 127.0.0.1 64499",
      "off1 127.0.0.9 64498 disabled",
      "waiting 127.0.0.8 64497",
      "students 127.0.0.0/24 null dynamic",
      "bgp1 127.0.0.10 64495 disabled",
    ]);
  });

  test("comments, strings and braces of filters hide nothing and make nothing up", () => {
    const text = `
      # protocol bgp no1 { neighbor 10.0.0.1 as 1; }
      /* protocol bgp no2 { neighbor 10.0.0.2 as 2; } */
      log "protocol bgp no3 { neighbor 10.0.0.3 as 3; }" { debug, trace }
      define OWN = [ 2001:db8::/36, 2001:db8::/36{48,48} ];
      filter f { if net ~ [ 10.0.0.0/8{16,24} ] then { bgp_community.add((65535, 0)); reject; } accept; }
      function g(int x) { return x > 1; }
      protocol bgp yes1{neighbor 10.0.0.4 as 4;description "} # not the end";ipv4{import filter{if 1=1 then{accept;}else reject;};export where net~[10.0.0.0/8{8,9}];};}
      protocol bgp 'yes-2' { local as 5; neighbor fe80::1%eth0 internal; }
      protocol bgp yes3 { neighbor fe80::2 % 'wg-core1' as 6; disabled no; }`;
    assert.equal(line(text), ["yes1 10.0.0.4 4", "yes-2 fe80::1%eth0 5", "yes3 fe80::2%wg-core1 6"]);
  });

  test("a block without a semicolon after it does not swallow the next protocol", () => {
    const text =
      'cli "muster" { restrict; } protocol bgp x { neighbor 10.0.0.1 as 1; } debug protocols { states } protocol bgp y { neighbor 10.0.0.2 as 2; }';
    assert.equal(line(text), ["x 10.0.0.1 1", "y 10.0.0.2 2"]);
  });

  test("templates, of templates, and what overrides them; constants", () => {
    const text = `
      define PEER_AS = 64496;
      template bgp base { local as 64500; disabled; }
      template bgp rs from base { neighbor 10.0.0.1 as PEER_AS; }
      protocol bgp a from rs { }
      protocol bgp b from rs { disabled off; neighbor 10.0.0.2 as 7; }
      protocol bgp c from b { }`;
    assert.equal(line(text), ["a 10.0.0.1 64496 disabled", "b 10.0.0.2 7", "c 10.0.0.2 7"]);
  });

  test("unnamed ones get BIRD's names, and not a name that is taken", () => {
    const text = `protocol bgp { neighbor 10.0.0.1 as 1; } protocol bgp bgp2 { neighbor 10.0.0.2 as 2; }
      template bgp t { local as 9; } protocol bgp from t { neighbor 10.0.0.3 as 3; } protocol static { ipv4; }`;
    assert.equal(line(text), ["bgp1 10.0.0.1 1", "bgp2 10.0.0.2 2", "bgp3 10.0.0.3 3"]);
  });

  test("the include line counts only where BIRD would read it", () => {
    const include = 'include "/etc/bird/muster.conf";';
    assert.is(declaredSessions(`router id 10.0.0.1;\n${include}`).muster_include, true);
    assert.is(declaredSessions(`# ${include}`).muster_include, false);
    assert.is(declaredSessions('include "/etc/bird/other.conf";').muster_include, false);
    assert.is(declaredSessions(`router id 10.0.0.1;\n${include}`).router_id, "10.0.0.1");
  });

  test("included files are read through the reader, a loop of them ends", () => {
    const files = new Map([
      ["/etc/bird/peers.conf", 'protocol bgp p { neighbor 10.0.0.1 as 1; }\ninclude "/etc/bird/loop.conf";'],
      ["/etc/bird/loop.conf", 'include "/etc/bird/loop.conf";'],
    ]);
    const text = 'include "/etc/bird/peers.conf";\nprotocol bgp q { neighbor 10.0.0.2 as 2; }';
    assert.equal(
      line(text, (path) => files.get(path) ?? null),
      ["p 10.0.0.1 1", "q 10.0.0.2 2"],
    );
    assert.equal(line(text), ["q 10.0.0.2 2"]);
  });

  test("what the host originates: static routes that lead nowhere else, not ROAs, next hops or a disabled block", () => {
    const text = `define OWN = 2001:db8:5000::/36;
      protocol static announced { ipv6; route OWN unreachable; route 2001:db8:5001::/48 blackhole { bgp_path.prepend(1); }; route ::/0 via fe80::1%eth0; }
      protocol static { ipv4; route 192.0.2.0/24 reject; route 192.0.2.0/24 unreachable; }
      protocol static roas { roa4; route 198.51.100.0/24 max 24 as 64500; }
      protocol static off { disabled; ipv4; route 203.0.113.0/24 unreachable; }`;
    assert.equal(declaredSessions(text).originated, [
      "2001:db8:5000::/36",
      "2001:db8:5001::/48",
      "192.0.2.0/24",
    ]);
  });

  test("text that is cut off does not throw", () => {
    for (const text of [
      "protocol bgp x { neighbor 10.0.0.1 as",
      'protocol bgp "',
      "/* ",
      "protocol bgp x",
      "}}}];",
    ]) {
      assert.type(declaredSessions(text).sessions.length, "number");
    }
  });
});
