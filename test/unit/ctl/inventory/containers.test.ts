/** Containers in the folder: files from a folder of templates, images by their lock, networks and ports that fit; each mistake with its place. */
import * as assert from "uvu/assert";
import { buildFleet, compileFleet, type LoadedFleet } from "../../../../packages/ctl/src/inventory/fleet.ts";
import { printImages, readImages } from "../../../../packages/ctl/src/inventory/images.ts";
import { Problems, problemText } from "../../../../packages/ctl/src/inventory/problem.ts";
import { sha256 } from "../../../../packages/protocol/src/canonical.ts";
import type { Container } from "../../../../packages/protocol/src/resources/container.ts";
import { suite } from "../../../kit/suite.ts";

const DIGEST = `sha256:${"1a4f".repeat(16)}`;
const NETWORKS = `network:
  backend: { subnets: [172.19.0.0/16] }
  dmz: { subnets: [172.18.0.0/16, "2001:db8:1::/80"], public: true }
volume: { data: {} }
`;

function fleet(container: string, files: Record<string, string> = {}, bytes: Record<string, Buffer> = {}) {
  const all: Record<string, string | null> = {
    "muster.yml": "fleet: test\n",
    "hosts.yml": "core: { hosts: { core1: { port: 9090 } } }\n",
    "images.lock": `web:1 ${DIGEST}\n`,
    "resources/core1.yml": `${NETWORKS}container:\n  web: ${container}\n`,
    ...files,
    ...Object.fromEntries(Object.keys(bytes).map((name) => [name, null])),
  };
  return buildFleet(
    { root: "/fleet", files: new Map(Object.entries(all)), bytes: new Map(Object.entries(bytes)) },
    new Problems(),
  );
}
const texts = (loaded: LoadedFleet) => loaded.problems.map(problemText).join("\n");
function container(loaded: LoadedFleet) {
  assert.is(texts(loaded), "");
  const found = compileFleet(loaded)[0]?.resources.find(({ kind }) => kind === "container");
  if (found?.kind !== "container") throw new Error("no container");
  return found;
}

suite("containers in the folder", (test) => {
  test("a folder of templates becomes the container's files; what is large or no text goes by its hash", () => {
    const big = `{"a": "${"x".repeat(20_000)}"}`;
    const logo = Buffer.from([0xff, 0xd8, 0x00]);
    const loaded = fleet(
      "{ image: web:1, files: { /etc/web: web/ } }",
      {
        "templates/web/web.conf.j2": "listen {{ port }}\n",
        "templates/web/raw.conf": "{{ not rendered }}\n",
        "templates/web/bin/reload.sh": "#!/bin/sh\n",
        "templates/web/dash/big.json": big,
        "templates/webby/other": "not this one",
      },
      { "templates/web/logo.jpg": logo },
    );
    const { files } = container(loaded).spec as Container;
    assert.equal(files, {
      "/etc/web": {
        "bin/reload.sh": { content: "#!/bin/sh\n", mode: "0755" },
        "dash/big.json": { blob: { sha256: sha256(big), size_bytes: big.length }, mode: "0644" },
        "logo.jpg": { blob: { sha256: sha256(logo), size_bytes: 3 }, mode: "0644" },
        "raw.conf": { content: "{{ not rendered }}\n", mode: "0644" },
        "web.conf": { content: "listen 9090\n", mode: "0644" },
      },
    });
    assert.is(Buffer.from(loaded.fleet.contents.get(sha256(big)) ?? []).toString(), big);
  });

  test("the lock pins; an id or a digest in the folder needs no line", () => {
    const pin = (text: string) => (container(fleet(text)).spec as Container).pin;
    assert.equal(pin("{ image: web:1 }"), { digest: DIGEST });
    assert.equal(pin(`{ image: "${DIGEST}" }`), { id: DIGEST });
    assert.equal(pin(`{ image: "db:15@${DIGEST}" }`), { digest: DIGEST });
    const other = `sha256:${"9".repeat(64)}`;
    assert.equal(
      (container(fleet("{ image: web:1 }", { "images.lock": `# x\nweb:1 id=${other}\n` })).spec as Container)
        .pin,
      { id: other },
    );
  });

  test("it comes after its networks, volumes and the engine", () => {
    const loaded = fleet("{ image: web:1, networks: { dmz: {}, backend: {} }, volumes: [data:/data] }", {
      "resources/core.yml": "service: { docker: { state: running } }\n",
    });
    assert.equal(container(loaded).needs, [
      "network/backend",
      "network/dmz",
      "service/docker",
      "volume/data",
    ]);
  });

  const mistakes: readonly [string, string, RegExp][] = [
    [
      "no line in the lock",
      "{ image: wbe:1 }",
      /^resources\/core1\.yml:6:17: images\.lock has no line for wbe:1; did you mean `web:1`\?.*\n {4}ctl image update wbe:1$/,
    ],
    [
      "a pin by hand",
      `{ image: web:1, pin: { digest: ${DIGEST} } }`,
      /core1\.yml:6:24: `pin` is written by ctl .*\n {4}image: NAME:TAG, and `ctl image update`/,
    ],
    [
      "a folder that is not there",
      "{ image: web:1, files: { /etc/web: wbe/ } }",
      /core1\.yml:6:43: no folder templates\/wbe\/ with files in it/,
    ],
    [
      "files that are no folder",
      "{ image: web:1, files: [a] }",
      /core1\.yml:6:31: `files` maps directories to folders, found a list/,
    ],
    [
      "ports without a public network",
      '{ image: web:1, networks: { backend: {} }, ports: ["80:80"] }',
      /core1\.yml:6:51: ports are published only on a network with `public: true`, and backend is not .*\n {4}networks: \{ dmz: \{\} \}/,
    ],
    [
      "a network that is not there",
      "{ image: web:1, networks: { bakend: {} } }",
      /core1\.yml:6:36: this host has no network `bakend`; did you mean `backend`\?/,
    ],
    [
      "a volume that is not there",
      "{ image: web:1, volumes: [date:/data] }",
      /core1\.yml:6:24: this host has no volume `date`; did you mean `data`\?/,
    ],
    [
      "an address outside of the network",
      "{ image: web:1, networks: { dmz: { ipv4_address: 172.19.0.5 } } }",
      /core1\.yml:6:43: 172\.19\.0\.5 is in no subnet of dmz \(172\.18\.0\.0\/16, 2001:db8:1::\/80\)/,
    ],
  ];
  for (const [name, text, wanted] of mistakes)
    test(`told with its place: ${name}`, () => assert.match(texts(fleet(text)), wanted));

  test("a lock that a merge has damaged is told line by line, and what is printed reads back", () => {
    const problems = new Problems();
    readImages(`<<<<<<< HEAD\nweb:1 ${DIGEST}\nweb:1 id=${DIGEST}\ndb:1 latest\n`, problems);
    assert.equal(
      problems.list().map(({ line, message }) => `${line} ${message}`),
      [
        "1 a merge was left undone here",
        "3 web:1 stands here twice with different digests",
        "4 must be an image and its digest",
      ],
    );
    const pins = new Map([
      ["web:1", { digest: DIGEST }],
      ["db:1", { id: DIGEST }],
    ] as const);
    const again = readImages(printImages(pins), new Problems());
    assert.equal(
      [...again],
      [
        ["db:1", { id: DIGEST }],
        ["web:1", { digest: DIGEST }],
      ],
    );
  });
});
