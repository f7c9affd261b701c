/** Which sessions a configuration of several files declares, while one of them cannot be read for a moment. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { speakerHere } from "../../../../packages/agent/src/collectors/speaker.ts";
import { suite } from "../../../kit/suite.ts";
import { hostPrefix, type Prefix, portsBelow } from "../resources/private-bird.ts";

suite("who speaks BGP here", (test) => {
  let prefix: Prefix;
  test.before(async () => {
    prefix = await hostPrefix();
    mkdirSync(join(prefix.path, "etc/bird"), { recursive: true });
  });
  test.after(() => prefix.release());

  test("while an included file cannot be read, what was declared before stands; then it is read anew", async ({
    signal,
  }) => {
    const at = (name: string) => join(prefix.path, "etc/bird", name);
    const peer = (name: string) => `protocol bgp ${name} { neighbor 10.9.0.2 as 64496; }\n`;
    const here = speakerHere(portsBelow(prefix.path, signal));
    const declared = async () => (await here(null)).sessions.map(({ name }) => name);
    writeFileSync(at("bird.conf"), `include "peers.conf";\n${peer("upstream")}`);
    writeFileSync(at("peers.conf"), peer("first"));
    assert.equal(await declared(), ["first", "upstream"]);
    // A link that leads to itself: no rights of ours read that.
    rmSync(at("peers.conf"));
    symlinkSync("peers.conf", at("peers.conf"));
    assert.equal(await declared(), ["first", "upstream"]);
    assert.equal(await declared(), ["first", "upstream"]);
    rmSync(at("peers.conf"));
    writeFileSync(at("peers.conf"), peer("second"));
    assert.equal(await declared(), ["second", "upstream"]);
  });

  test("an included file that is not there declares what it declared before, and is told; a pattern that matches nothing is fine", async ({
    signal,
  }) => {
    const at = (name: string) => join(prefix.path, "etc/bird", name);
    const peer = (name: string) => `protocol bgp ${name} { neighbor 10.9.0.2 as 64496; }\n`;
    const here = speakerHere(portsBelow(prefix.path, signal));
    const declared = async () => {
      const { sessions, unread } = await here(null);
      return [sessions.map(({ name }) => name), unread];
    };
    const main = 'include "peers.conf";\ninclude "more/*.conf";\ninclude "/etc/bird/muster.conf";\n';
    mkdirSync(at("more"));
    writeFileSync(at("bird.conf"), `${main}${peer("upstream")}`);
    writeFileSync(at("peers.conf"), peer("first"));
    writeFileSync(at("more/a.conf"), peer("third"));
    assert.equal(await declared(), [["first", "third", "upstream"], null]);
    rmSync(at("more/a.conf"));
    assert.equal(await declared(), [["first", "upstream"], null]);
    rmSync(at("peers.conf"));
    const why = "/etc/bird/bird.conf includes /etc/bird/peers.conf, which is not there or too large";
    assert.equal(await declared(), [["first", "upstream"], why]);
    assert.equal(await declared(), [["first", "upstream"], why]);
    // Who begins now knows what is there, and that it is not all.
    const { sessions, unread } = await speakerHere(portsBelow(prefix.path, signal))(null);
    assert.equal([sessions.map(({ name }) => name), unread], [["upstream"], why]);
    writeFileSync(at("peers.conf"), peer("second"));
    assert.equal(await declared(), [["second", "upstream"], null]);
  });
});
