/**
 * A part of the story of a first fleet: a thief searches what `ctl init` made, all of the first server's disk, its journal, its processes and a backup, for
 * keys, tokens and what was typed. Each secret lies where it must and nowhere else; the controller's account reads one, that of its Vault log-in (P1).
 */
import * as assert from "uvu/assert";
import type { Test } from "../kit/suite.ts";
import { measured } from "./kit.ts";
import type { Machine } from "./machine.ts";
import type { Stage } from "./restored.ts";

/** Seeds of nkeys, private keys in PEM and bare, tokens of Vault. No line of it holds what it looks for, since processes are searched too. */
const SHAPES = [
  "(^|[^A-Za-z0-9])S[AOUNCX][A-Z2-7]{56}([^A-Za-z0-9]|$)",
  "PRIVATE [K]EY-----",
  "MC4CAQAwBQYDK2Vw[B]CIE",
  "hv[sbr]\\.[A-Za-z0-9_-]{24,}",
];
/** All that is no program of Debian's. */
const PLACES = "/etc /var /root /home /tmp /run /opt /srv /mnt /boot";
/** In memory, where nobody looks. */
const WORDS = "/dev/shm/words";
const PATTERNS = "/dev/shm/shapes";
const LIMIT_MS = 60_000;
/** Every file of the first server that holds a secret, and which. A new one is either a leak or gets its line here. */
const HOLDS: Readonly<Record<string, string>> = {
  "/etc/muster/backup/secret_id": "the backup's log-in at Vault, from this machine only",
  "/etc/muster/controller/secret_id": "the controller's",
  "/etc/muster/nats/tls.key": "the broker's TLS key",
  "/etc/muster/vault/tls.key": "Vault's TLS key",
  "/etc/muster/vault/unseal.key": "what opens Vault, where a person does not",
  "/etc/ssh/ssh_host_ed25519_key": "the machine's own",
  "/root/.config/muster/as64501/session.json": "the log-in of whoever typed ctl init",
  "/root/passphrase": "put there by the test",
  "/root/password": "put there by the test",
  "/var/lib/muster-agent/certificates/service.key": "this host's TLS key",
  "/var/lib/muster-agent/credentials.json": "this host's log-in at Vault",
  "/var/lib/muster-agent/credentials.json.previous": "the one before",
  "/var/lib/muster-agent/keys.json": "this host's own keys",
};

type Given = Pick<Stage, "must" | "on"> & {
  machine(): Machine;
  /** What a person typed while the fleet was made. */
  readonly typed: readonly string[];
};

export function searched(test: Test, { machine, must, on, typed }: Given): void {
  const search = `{ grep -rlaE -D skip -f ${PATTERNS} ${PLACES}; grep -rlaF -D skip -f ${WORDS} ${PLACES}; } 2>/dev/null | sort -u`;

  test(
    "P1: on the first server each secret lies where it must, and the controller reads only its own",
    async () => {
      const core = machine();
      const own = await must(core, "cat /etc/muster/vault/unseal.key /etc/muster/*/secret_id");
      await core.sh(`cat >${PATTERNS}; chmod 0644 ${PATTERNS}`, { input: `${SHAPES.join("\n")}\n` });
      const words = [...typed, ...own.trim().split("\n")].map((word) => word.trim());
      assert.ok(
        words.every((word) => word.length >= 12),
        "a word that is too short to be looked for",
      );
      await core.sh(`cat >${WORDS}; chmod 0644 ${WORDS}`, { input: `${words.join("\n")}\n` });
      const began = performance.now();
      const files = (await must(core, search)).trim().split("\n");
      measured("the first server searched for secrets", `${Math.round(performance.now() - began)} ms`);
      assert.equal(files.toSorted(), Object.keys(HOLDS).toSorted());
      const readable = await must(core, `runuser -u muster-controller -- sh -c '${search}'`);
      assert.is(readable, "/etc/muster/controller/secret_id\n");
      // The same search finds what is planted, also between other bytes: it can see.
      const seed = `S${"A".repeat(57)}`;
      await core.sh("head -c 100 /dev/urandom >/var/lib/planted; cat >>/var/lib/planted", {
        input: `{"x":"${seed}"}`,
      });
      assert.match(await must(core, search), /^\/var\/lib\/planted$/m);
      await core.sh("rm /var/lib/planted");
    },
    { limit_ms: LIMIT_MS },
  );

  test(
    "P1: no journal, command line, environment or backup of the first server holds a secret",
    async () => {
      const core = machine();
      const grep = `{ tee /dev/shm/all | grep -aEc -f ${PATTERNS}; grep -aFc -f ${WORDS} /dev/shm/all; }`;
      const found = async (source: string) => {
        const { stdout } = await on(core, `${source} | ${grep}; wc -c </dev/shm/all; rm /dev/shm/all`);
        return stdout.trim().split("\n").map(Number);
      };
      const nothing = async (what: string, source: string) => {
        const [shapes, words, bytes] = await found(source);
        assert.equal([shapes, words], [0, 0], what);
        assert.ok((bytes ?? 0) > 1_000, `${what}: only ${bytes} bytes were searched`);
      };
      const journal = "journalctl --no-pager --output=verbose --all";
      await nothing("the journal", journal);
      await nothing("processes", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null");
      await nothing("the backup", "cat /mnt/backup/*.muster");
      await nothing("Vault's disk", "find /var/lib/muster-vault -type f -exec cat {} +");
      await nothing("the broker's disk", "find /var/lib/muster-nats -type f -exec cat {} +");
      // One line with a word that was typed: the search of the journal can see.
      await core.sh(`head -1 ${WORDS} | systemd-cat; journalctl --sync`);
      assert.is((await found(journal))[1], 1);
      await core.sh(`rm ${WORDS} ${PATTERNS}`);
    },
    { limit_ms: LIMIT_MS },
  );

  test("no daemon that holds a key leaves its memory on the disk when it dies", async () => {
    const core = machine();
    for (const unit of ["muster-agent", "muster-controller", "nats-server", "vault"]) {
      const line = `grep 'core file' /proc/$(systemctl show ${unit} --property=MainPID --value)/limits`;
      assert.match(await must(core, line), /^Max core file size +0 +0 /, unit);
    }
  });
}
