/**
 * Telemetry of an older and of a newer agent, of every kind there is: words, fields and forms that this controller does not know end no program, and nothing of
 * them is read as good. Samples are made from the schemas, so that a field that comes later is tried too.
 */
import { subjects, type TelemetryKind, watched } from "@muster/protocol";
import type { HostView } from "@muster/protocol/record";
import { TELEMETRY, TELEMETRY_KINDS } from "@muster/protocol/telemetry/index";
import { knownOf } from "@muster/view/known";
import { statusOf, worstTint } from "@muster/view/status";
import * as assert from "uvu/assert";
import { z } from "zod";
import { eventsReply } from "../../../packages/controller/src/telemetry/events.ts";
import { LastValues } from "../../../packages/controller/src/telemetry/last.ts";
import { suite } from "../../kit/suite.ts";

const NOW_MS = 1_800_000_000_000;
const WORD = "dreaming";
/** Words by which something is well. */
const GOOD = ["ok", "up", "established", "converged", "watched", "healthy", "running", "idle", "pending"];
/** Fields that say what should be: there the strictest word is the careful one. */
const STRICT: Readonly<Record<string, string>> = {
  "bgp sessions.[].expected": "up",
  "services services.[].wanted": "running",
};

type Schema = {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly maximum?: number;
};
type Path = readonly string[];
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const TEXTS = ["some words", "file//etc/motd", "ab".repeat(32), "core1", `U${"A".repeat(55)}`, "1.2.3"];

/** Of one that may be null the other. */
const typeOf = ({ type }: Schema) =>
  typeof type === "string" ? type : (type?.find((each) => each !== "null") ?? undefined);

/** A sample with every field, each list with one entry. Gives the places of words that are of a closed list, too. */
function whole(schema: Schema, at: Path, words: Path[]): Json {
  if (schema.anyOf !== undefined) {
    const [first] = schema.anyOf.filter((each) => typeOf(each) !== "null");
    return first === undefined ? null : whole(first, at, words);
  }
  if (schema.const !== undefined) return schema.const as Json;
  if (schema.enum !== undefined) {
    words.push(at);
    return (schema.enum.find((word) => GOOD.includes(String(word))) ?? schema.enum[0] ?? null) as Json;
  }
  switch (typeOf(schema)) {
    case "object":
      return Object.fromEntries(
        Object.entries(schema.properties ?? { some: schema.additionalProperties as Schema }).map(
          ([name, of]) => [name, whole(of, [...at, name], words)],
        ),
      );
    case "array":
      return Array.from({ length: Math.max(1, schema.minItems ?? 1) }, () =>
        whole(schema.items ?? {}, [...at, "[]"], words),
      );
    case "integer":
    case "number":
      return Math.min(1, schema.maximum ?? 1);
    case "boolean":
      return true;
    case "string": {
      const { pattern } = schema;
      const fits = TEXTS.find((text) => pattern === undefined || new RegExp(pattern, "u").test(text));
      if (fits === undefined) throw new Error(`${at.join(".")}: none of the texts fits ${pattern}`);
      return at.at(-1) === "at" ? new Date(NOW_MS).toISOString() : fits;
    }
    default:
      return "anything";
  }
}

const schemaOf = (kind: TelemetryKind) =>
  z.toJSONSchema(TELEMETRY[kind].sample, { io: "input", unrepresentable: "any" }) as Schema;

/** A copy with `change` made at each object that lies at `at`. */
function changed(value: Json, at: Path, change: (object: { [key: string]: Json }) => void): Json {
  const copy = structuredClone(value);
  const walk = (each: Json, [step, ...rest]: Path): void => {
    if (each === null || typeof each !== "object") return;
    if (step === undefined) {
      if (!Array.isArray(each)) change(each);
    } else if (Array.isArray(each))
      for (const item of each) walk(item, step === "[]" ? rest : [step, ...rest]);
    else walk(each[step] ?? null, rest);
  };
  walk(copy, at);
  return copy;
}

/** Places of all objects in it, and the fields that each may lack. */
function objects(schema: Schema, at: Path = []): { at: Path; fields: string[]; optional: string[] }[] {
  const inner = (schema.anyOf ?? []).flatMap((each) => objects(each, at));
  if (typeOf(schema) === "array") return objects(schema.items ?? {}, [...at, "[]"]);
  if (schema.properties === undefined) return inner;
  const fields = Object.keys(schema.properties);
  const required = new Set(schema.required);
  return [
    ...inner,
    { at, fields, optional: fields.filter((field) => !required.has(field)) },
    ...Object.entries(schema.properties).flatMap(([name, of]) => objects(of, [...at, name])),
  ];
}

function valueAt(value: unknown, [step, ...rest]: Path): unknown {
  if (step === undefined) return value;
  const next = step === "[]" ? (value as unknown[])[0] : (value as Record<string, unknown>)[step];
  return next === undefined || next === null ? next : valueAt(next, rest);
}

suite("telemetry of other versions", (test) => {
  const id = `U${"A".repeat(55)}`;
  const record = {
    ...{ name: "core1", id, groups: [], state: "enrolled", agent_version: "0.1.0" },
    certificates: { user_jwt: NOW_MS * 2, service: NOW_MS * 2, ssh: NOW_MS * 2 },
  } as unknown as HostView["record"];
  const heardBy = (last: LastValues, kind: string, sample: unknown, at_ms = NOW_MS) =>
    last.take(subjects.telemetry(id, "core1", kind), Buffer.from(JSON.stringify(sample)), at_ms).result;
  const fresh = () => new LastValues({ byName: () => record } as never);
  const statusIn = (last: LastValues, now_ms = NOW_MS) => {
    const view = last.view("core1", now_ms);
    if (view === null) throw new Error("no view");
    return statusOf(knownOf(view, null, null), now_ms);
  };

  for (const kind of TELEMETRY_KINDS) {
    const schema = schemaOf(kind);
    const words: Path[] = [];
    const sample = whole(schema, [], words);

    test(`${kind}: a newer agent says more, an older one says less, and both are read`, () => {
      assert.is.not(heardBy(fresh(), kind, sample), "invalid", JSON.stringify(sample));
      for (const { at, optional } of objects(schema)) {
        const place = at.join(".") || "(whole)";
        const more = changed(sample, at, (object) => Object.assign(object, { of_later: { deep: [1] } }));
        assert.is.not(heardBy(fresh(), kind, more), "invalid", `${place} with a field of later`);
        const less = changed(sample, at, (object) => {
          for (const field of optional) delete object[field];
        });
        assert.is.not(heardBy(fresh(), kind, less), "invalid", `${place} without what was added since`);
      }
    });

    test(`${kind}: what it must have and has not, or has in another form, is refused and told, and ends nothing`, () => {
      for (const { at, fields, optional } of objects(schema))
        for (const field of fields) {
          const broken = [{ deep: [[]] }, ...(optional.includes(field) ? [] : [undefined])].map((value) =>
            changed(sample, at, (object) => {
              if (value === undefined) delete object[field];
              else object[field] = value as Json;
            }),
          );
          for (const one of broken) {
            const last = fresh();
            heardBy(last, "convergence", { ...watched(NOW_MS, "9.0.0"), state: "converged" });
            const result = heardBy(last, kind, one);
            if (result !== "invalid" || kind === "convergence") continue;
            const { troubles } = statusIn(last);
            assert.ok(
              troubles.some(({ tint, what }) => tint === "red" && what.includes(`${kind} cannot be read`)),
              `${[...at, field].join(".")}: ${JSON.stringify(troubles)}`,
            );
          }
        }
    });

    test(`${kind}: a word that nobody knows is never read as a good one`, () => {
      for (const at of words) {
        const place = `${kind} ${at.join(".")}`;
        const strange = changed(sample, at.slice(0, -1), (object) => {
          object[at.at(-1) ?? ""] = WORD;
        });
        const read = TELEMETRY[kind].sample.safeParse(strange);
        // Refused whole: then the kind cannot be read, which is told.
        if (!read.success) continue;
        const word = String(valueAt(read.data, at));
        if (STRICT[place] === word) continue;
        assert.not.ok(GOOD.includes(word), `${place}: ${WORD} is read as ${word}`);
      }
    });
  }

  test("a host whose state cannot be read any more is not shown as it was, whatever else it tells", () => {
    const last = fresh();
    const said = { ...watched(NOW_MS, "0.1.0"), state: "converged" };
    assert.is(heardBy(last, "convergence", said), "changed");
    assert.not.equal(worstTint(statusIn(last)), "red");
    // The agent is renewed, and says in another way how it is.
    const health = whole(schemaOf("health"), [], []);
    for (let after_ms = 10_000; after_ms <= 90_000; after_ms += 10_000) {
      const at = NOW_MS + after_ms;
      assert.is(heardBy(last, "convergence", { ...said, at, state: WORD }, at), "invalid");
      heardBy(last, "health", { ...(health as object), at }, at);
      const status = statusIn(last, at);
      assert.is(worstTint(status), "red", `after ${after_ms} ms: ${JSON.stringify(status.troubles)}`);
      assert.match(status.troubles.map(({ what }) => what).join("\n"), /convergence cannot be read here/);
    }
    // It is put back to the one before.
    const at = NOW_MS + 100_000;
    heardBy(last, "convergence", { ...said, at }, at);
    assert.not.match(JSON.stringify(statusIn(last, at).troubles), /cannot be read/);
  });

  test("an event of a kind that nobody knows is told all the same, and is no less grave for it", async () => {
    const newer = { at: NOW_MS, kind: "weather", severity: "dire", what: "the roof is off", of_later: [1] };
    const older = { at: NOW_MS, kind: "session", severity: "info", what: "up" };
    const stored = [newer, { ...newer, at: "now" }, older].map((event, at) => ({
      ...{ subject: subjects.event(id, "core1", "weather"), headers: {}, seq: at + 1, stored_at: NOW_MS },
      body: Buffer.from(JSON.stringify(event)),
    }));
    const bus = {
      async *readAll() {
        yield* stored;
      },
    };
    const { events } = await eventsReply(bus as never, { since: null, limit: 10 }, NOW_MS);
    assert.equal(
      events.map(({ event: { severity, what } }) => `${severity} ${what}`),
      ["error the roof is off", "info up"],
    );
  });

  test("a kind that is not known, a message that is no JSON or too large, and one of a stranger end nothing", () => {
    const last = fresh();
    assert.is(heardBy(last, "weather", { at: NOW_MS }), "invalid");
    const subject = subjects.telemetry(id, "core1", "health");
    for (const body of [
      "",
      "{",
      "null",
      "[]",
      '"x"',
      "1e999",
      `{"at":${"9".repeat(400)}}`,
      "x".repeat(600_000),
    ])
      assert.is(last.take(subject, Buffer.from(body), NOW_MS).result, "invalid", body.slice(0, 20));
    const other = subjects.telemetry(`U${"B".repeat(55)}`, "core1", "health");
    assert.is(last.take(other, Buffer.from("{}"), NOW_MS).result, "stranger");
    assert.is(last.heardAt("core1"), null, "nobody was heard");
  });
});
