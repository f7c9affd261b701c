/** What `ctl docs` has to tell, by the words that are typed: each topic as text and tables, made from the sources' own tables. Pure. */
import { CONTROL } from "@muster/protocol/control/index";
import { ERRORS, FleetError } from "@muster/protocol/errors";
import { FleetEvent } from "@muster/protocol/event";
import { keptText } from "@muster/protocol/expression/window";
import { type JsonSchema, jsonSchemaOf } from "@muster/protocol/json-schema";
import { LogBatch } from "@muster/protocol/log";
import { KIND_NAMES, KINDS, type Kind } from "@muster/protocol/resources/index";
import { type Method, RPC } from "@muster/protocol/rpc/index";
import { PERMISSIONS, ROLES } from "@muster/protocol/subjects";
import { TELEMETRY } from "@muster/protocol/telemetry/index";
import type { z } from "zod";
import { AlertsFile } from "../inventory/alerts.ts";
import { CommonFields, FORMS, MusterFile } from "../inventory/forms.ts";
import { MonitoringFile } from "../inventory/monitoring.ts";
import { suggest } from "../inventory/problem.ts";
import { folderSchema } from "../inventory/schema.ts";
import { FACT_NAMES } from "../inventory/selectors.ts";
import { fieldsOf } from "./fields.ts";

export type Topic = {
  readonly title: string;
  readonly text: readonly string[];
  readonly tables: readonly Table[];
};
type Table = {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
};

/** What a hand edit meets, by the kind's or the resource's `on_drift`. */
export const HAND_EDIT = {
  correct: "put back, and told as an event",
  report: "left, and shown until it is settled",
  ask: "left, and asked about",
} as const;

type Listing = {
  readonly summary: string;
  /** Names that may stand behind the word. */
  readonly names?: readonly string[];
  read(name: string | undefined): Topic;
};

const TOPICS: Readonly<Record<string, Listing>> = {
  muster: { summary: "muster.yml", read: () => fields("muster.yml", jsonSchemaOf(MusterFile)) },
  alerts: { summary: "alerts.yml", read: () => fields("alerts.yml", jsonSchemaOf(AlertsFile)) },
  monitoring: {
    summary: "monitoring.yml",
    read: () => fields("monitoring.yml", jsonSchemaOf(MonitoringFile)),
  },
  resource: {
    summary: "what every resource may have",
    read: () => fields("every resource", jsonSchemaOf(CommonFields)),
  },
  selector: { summary: "how hosts are chosen", read: selector },
  error: { summary: "codes, and what they mean", names: Object.keys(ERRORS), read: errors },
  rpc: {
    summary: "what hosts can be asked",
    names: Object.keys(RPC),
    read: (name) => methods("rpc", RPC, name),
  },
  control: {
    summary: "what controllers can be asked",
    names: Object.keys(CONTROL),
    read: (name) => methods("control", CONTROL, name),
  },
  telemetry: {
    summary: "what hosts send",
    names: [...Object.keys(TELEMETRY), "event", "log"],
    read: telemetry,
  },
  permission: { summary: "who may do what on the bus", names: ROLES, read: permission },
};

/** Every topic with the words to type, kinds first. */
export function topics(): { words: string; summary: string }[] {
  return [
    ...KIND_NAMES.map((kind) => ({
      words: kind,
      summary: firstSentence(KINDS[kind].spec.description ?? ""),
    })),
    ...Object.entries(TOPICS).map(([word, { summary, names }]) => ({
      words: names === undefined ? word : `${word} [NAME]`,
      summary,
    })),
  ];
}

/** Errors: USAGE for a word or name that is not there, with what may have been meant. */
export function topicOf(word: string, name: string | undefined): Topic {
  const plain = word.toLowerCase().replace(/s$/, "");
  const kind = KIND_NAMES.find((each) => each === word || each === plain || word.startsWith(`${each}/`));
  if (kind !== undefined) return kindTopic(kind);
  const code = Object.keys(ERRORS).find((each) => each === word.toUpperCase());
  if (code !== undefined) return errors(code);
  const listing = TOPICS[plain] ?? TOPICS[word];
  const words = [...KIND_NAMES, ...Object.keys(TOPICS)];
  if (listing === undefined)
    throw new FleetError(
      "USAGE",
      `no page \`${word}\`${suggest(word, words) || `; there are ${words.join(", ")}`}`,
    );
  if (name === undefined) return listing.read(undefined);
  const names = listing.names ?? [];
  const found = names.find((each) => each.toLowerCase() === name.toLowerCase());
  if (found === undefined)
    throw new FleetError(
      "USAGE",
      `no ${plain} \`${name}\`${suggest(name, names) || `; there are ${names.join(", ") || "no names here"}`}`,
    );
  return listing.read(found);
}

const firstSentence = (text: string): string =>
  /^.*?[.:](?=\s|$)/.exec(text)?.[0].replace(/[.:]$/, "") ?? text;

function fieldTable(title: string, schema: JsonSchema, without: readonly string[] = []): Table[] {
  const rows = fieldsOf(schema).filter(({ path }) => !without.includes(path));
  if (rows.length === 0) return [];
  return [
    {
      title,
      columns: ["FIELD", "FORM", "DEFAULT", "MEANING"],
      rows: rows.map(({ path, form, otherwise, meaning }) => [path, form, otherwise, meaning]),
    },
  ];
}

const fields = (title: string, schema: JsonSchema): Topic => ({
  title,
  text: [],
  tables: fieldTable("", schema),
});

/** A kind as it is written in the folder. */
export function kindTopic(kind: Kind): Topic {
  const { spec, on_drift, guarded } = KINDS[kind];
  const { one_of, short } = FORMS[kind] ?? {};
  return {
    title: kind,
    text: [
      spec.description ?? "",
      `A hand edit is ${HAND_EDIT[on_drift]} (on_drift: ${on_drift}).`,
      ...(guarded
        ? ["A change goes under guard: the host itself takes it back unless what worked before works after."]
        : []),
      ...(one_of === undefined ? [] : [`Exactly one of ${one_of.join(", ")}.`]),
      ...(short === undefined ? [] : [`A bare value instead of the map: ${short.description}`]),
      "What every resource may have besides: ctl docs resource.",
    ],
    tables: fieldTable("", folderSchema(kind), Object.keys(CommonFields.shape)),
  };
}

function selector(): Topic {
  return {
    title: "selectors",
    text: ["Hosts are chosen the same way in every command; in quotes as soon as it is more than a name."],
    tables: [
      {
        title: "",
        columns: ["TYPED", "CHOOSES"],
        rows: [
          ["ixp1", "the host, or every host of the group"],
          ["'ixp*'", "hosts whose names fit; ? is one letter"],
          ["all", "every host"],
          ["site=ams  site!=ams  'exchange=*'", "by a label; muster.yml names them"],
          [
            "'fact.os=Debian 12*'  'fact.bird<2.16'",
            "by a fact, asked of the hosts; < <= > >= compare versions",
          ],
          ["core,ixp1  'core or ixp1'", "one or the other"],
          ["'ixp and site=ams'  'routers and not ixp'", "both; without"],
          ["'(core or ixp) and not fact.bird=*'", "not binds closest, then and"],
          ["--not SELECTOR", "leaves these out"],
          [
            "'health.cpu_busy>80%'  'bgp.sessions(expected=up and state!=established)'",
            "ctl query alone: by what they told last; ( ) is about one thing in a list",
          ],
        ],
      },
      { title: "", columns: ["FACTS"], rows: [[FACT_NAMES.join(", ")]] },
    ],
  };
}

function errors(code: string | undefined): Topic {
  const rows = Object.entries(ERRORS)
    .filter(([each]) => code === undefined || each === code)
    .map(([each, { message, exit, retryable }]) => [each, message, String(exit), retryable ? "yes" : "no"]);
  return {
    title: code ?? "errors",
    text: ["AGAIN: whether the same call may work later without anybody changing anything."],
    tables: [{ title: "", columns: ["CODE", "WHAT HAPPENED", "EXIT", "AGAIN"], rows }],
  };
}

function methods(word: string, table: Readonly<Record<string, Method>>, name: string | undefined): Topic {
  const row = name === undefined ? undefined : table[name];
  if (name === undefined || row === undefined)
    return {
      title: word,
      text: [],
      tables: [
        {
          title: "",
          columns: ["METHOD", "NEEDS", "WHAT"],
          rows: Object.entries(table).map(([each, { authority, what }]) => [each, authority, what]),
        },
      ],
    };
  return {
    title: `${word} ${name}`,
    text: [
      row.what,
      `Needs ${row.authority}${row.for_ci ? ", also ci" : ""}; at most ${row.timeout_ms / 1_000} s.`,
    ],
    tables: [
      ...fieldTable("REQUEST", jsonSchemaOf(row.request)),
      ...fieldTable("REPLY", jsonSchemaOf(row.reply, "output", samples())),
    ],
  };
}

/** Samples inside of replies have a page of their own. */
const samples = (): ReadonlyMap<z.ZodType, string> =>
  new Map(Object.entries(TELEMETRY).map(([kind, { sample }]) => [sample, `ctl docs telemetry ${kind}`]));

function telemetry(name: string | undefined): Topic {
  if (name === "event")
    return {
      title: "event",
      text: ["event.<id>.<host>.<kind>", FleetEvent.description ?? ""],
      tables: fieldTable("", jsonSchemaOf(FleetEvent, "output")),
    };
  if (name === "log")
    return {
      title: "log",
      text: ["log.<id>.<host>", LogBatch.description ?? ""],
      tables: fieldTable("", jsonSchemaOf(LogBatch, "output")),
    };
  const row = Object.entries(TELEMETRY).find(([kind]) => kind === name)?.[1];
  if (name !== undefined && row !== undefined)
    return {
      title: name,
      text: [
        `telemetry.<id>.<host>.${name}, every ${row.period_ms / 1_000} s`,
        row.sample.description ?? "",
        ...[keptText(name)].filter((text) => text !== ""),
      ],
      tables: fieldTable("", jsonSchemaOf(row.sample, "output")),
    };
  return {
    title: "telemetry",
    text: [],
    tables: [
      {
        title: "",
        columns: ["KIND", "EVERY", "WHAT"],
        rows: Object.entries(TELEMETRY).map(([kind, { period_ms, sample }]) => [
          kind,
          `${period_ms / 1_000} s`,
          sample.description ?? "",
        ]),
      },
    ],
  };
}

function permission(name: string | undefined): Topic {
  const roles = ROLES.filter((role) => name === undefined || role === name);
  return {
    title: "permissions",
    text: ["{{subject()}} is the client's own key, {{name()}} the name in its JWT."],
    tables: roles.map((role) => ({
      title: role,
      columns: ["MAY", "SUBJECT"],
      rows: [
        ...PERMISSIONS[role].pub.map((subject) => ["publish", subject]),
        ...PERMISSIONS[role].sub.map((subject) => ["subscribe", subject]),
      ],
    })),
  };
}
