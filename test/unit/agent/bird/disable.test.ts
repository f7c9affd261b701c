/** A bird.conf with sessions disabled for a drain: which they are, where the word goes, and what is left as it was. */
import * as assert from "uvu/assert";
import { declaredSessions } from "../../../../packages/agent/src/bird/declared.ts";
import { disabling, withDisabled } from "../../../../packages/agent/src/bird/disable.ts";
import { suite } from "../../../kit/suite.ts";

const TEXT = `define OURS = 64500;
template bgp T { local as OURS; }
filter f { if net ~ [ 10.0.0.0/8{16,24} ] then { reject; } accept; }
# protocol bgp no { neighbor 10.0.0.1 as 1; }
protocol bgp upstream from T { neighbor 10.0.0.1 as 64496; description "} protocol bgp x {"; ipv4 { import filter f; }; }
protocol bgp core1 from T { neighbor 10.0.0.2 as OURS; ipv4 { import all; }; }
protocol bgp from T { neighbor 10.0.0.3 as 64497; # no semicolon may follow
}
protocol bgp off { local as OURS; neighbor 10.0.0.4 as 64498; disabled; }
protocol bgp peers { local as OURS; neighbor range 10.1.0.0/24 external; disabled no; }`;

suite("bird.conf with sessions disabled", (test) => {
  test("those with other networks; our own, and what is disabled anyway, are left", () => {
    const { sessions, beyond } = disabling(TEXT, declaredSessions(TEXT));
    assert.equal(sessions, ["upstream", "bgp1", "peers"]);
    assert.equal(beyond, []);
    const drained = withDisabled(TEXT, sessions);
    assert.equal(
      declaredSessions(drained).sessions.map(({ name, disabled }) => [name, disabled]),
      [
        ["upstream", true],
        ["core1", false],
        ["bgp1", true],
        ["off", true],
        ["peers", true],
      ],
    );
    const line = "  disabled yes; # drained by Muster\n";
    assert.is(drained.split(line).length, 4);
    assert.is(
      drained.replaceAll(/\s+/g, "").replaceAll(line.replaceAll(/\s+/g, ""), ""),
      TEXT.replaceAll(/\s+/g, ""),
    );
    assert.is(withDisabled(TEXT, []), TEXT);
  });

  test("a session of an included file is named, and cannot be disabled in this one", () => {
    const text = `${TEXT}\ninclude "peers.conf";`;
    const more = "protocol bgp rs1 { local as 64500; neighbor 10.0.0.9 as 64499; }";
    const declared = declaredSessions(text, () => more);
    assert.equal(disabling(text, declared).beyond, ["rs1"]);
    assert.throws(() => withDisabled(text, ["rs1"]), /no block of its own for session rs1/);
  });
});
