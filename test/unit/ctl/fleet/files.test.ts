/** The lines that are handed to people: how they find the fleet, as a shell takes it. */
import * as assert from "uvu/assert";
import { loginLine } from "../../../../packages/ctl/src/fleet/files.ts";
import { suite } from "../../../kit/suite.ts";

suite("the line with which a person logs in", (test) => {
  const anchor = "ZXOD-BOBF-AZE5-CDMN-VV5U-5ZW4-G5K2-FSBL";

  test("an address that is known with the usual port and without it stands there once", () => {
    const addresses = ["core1.example:4222", "core1.example", "198.51.100.1:4333"];
    assert.is(
      loginLine("bob", { addresses, anchor }),
      `ctl login bob@core1.example,198.51.100.1:4333#${anchor}`,
    );
  });

  test("brackets of IPv6 are kept from the shell", () => {
    const line = loginLine("bob", { addresses: ["[2001:db8::1]:4222"], anchor });
    assert.is(line, `ctl login 'bob@[2001:db8::1]#${anchor}'`);
  });
});
