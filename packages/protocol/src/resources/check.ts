/**
 * Kind `check`: something that must answer, asked by the host itself again and again. Exactly one way of asking; how often, how long, and how many answers in
 * a row turn it. It changes nothing on the host; that it is declared is what makes its absence show.
 */
import { z } from "zod";
import { Duration, durationMs } from "./amount.ts";
import { AbsolutePath, Account } from "./path.ts";

export const CHECK_METHODS = ["http", "tcp", "dns", "icmp", "tls", "command", "probe"] as const;
export type CheckMethod = (typeof CHECK_METHODS)[number];

/** More on one host are not run, and say so. */
export const CHECKS_LIMIT = 256;
/** One that never answered is red within 15 s: an answer may not take longer than leaves room for that. */
const TIMEOUT_MAX_MS = 10_000;
const EVERY_MIN_MS = 1_000;
const WINDOW_MIN_MS = 60_000;
const WINDOW_MAX_MS = 24 * 3_600_000;

const Address = z
  .string()
  .max(253)
  .regex(
    /^[A-Za-z0-9:][A-Za-z0-9:._%-]*$/,
    "must be an address or a name, such as 2001:db8::1 or core1.example.net",
  );
const HostPort = z
  .string()
  .max(270)
  .regex(
    /^(?:\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]|[A-Za-z0-9][A-Za-z0-9._-]*):\d{1,5}$/,
    'must be an address or name with a port, such as "[2001:db8::1]:443"',
  )
  .refine((text) => portIn(text) <= 65_535 && portIn(text) > 0, "must have a port from 1 to 65535");
const Web = z
  .string()
  .max(2_048)
  .regex(
    /^https?:\/\/[^\s/?#@]+(?:[/?][\x21-\x7e]*)?$/,
    "must be an address such as https://www.example.net/health, without user and password",
  )
  .refine((text) => URL.canParse(text), "must be an address such as https://www.example.net/health");
const Server = z
  .string()
  .max(64)
  .regex(
    /^(?:[0-9A-Fa-f:]{2,45}|\[[0-9A-Fa-f:]{2,45}\]:\d{1,5}|\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?)$/,
    'must be an address, with a port or without, such as "[2001:db8::53]:5353"',
  );
const Name = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9_*](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/, "must be a name such as www.example.net");
const Prefix = z
  .string()
  .max(64)
  .regex(/^[0-9a-fA-F:.]+\/\d{1,3}$/, "must be a prefix such as 2001:db8::/32");
const Span = z.string().regex(/^[1-9]\d{0,4}(?:h|d)$/, "must be a time such as 12h or 7d");
/** A Prometheus name, with some of its labels. */
const Series = z
  .string()
  .max(512)
  .regex(
    /^[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*"(?:,\s*)?)*\})?$/,
    'must be the name of a counter, such as probes_sent_total or probes_sent_total{instance="anycast"}',
  );

export const PROBE_REASONS = ["session", "prefix", "replies", "broker"] as const;

/** A measuring host: four things that must all hold for it to measure anything. */
export const Probe = z
  .strictObject({
    prefix: Prefix.describe("Whose addresses it probes from: replies come back only while it is announced."),
    sessions: z
      .array(z.string().min(1).max(64))
      .min(1)
      .max(64)
      .optional()
      .describe("BGP sessions of which one must be up and be sent the prefix; default: any."),
    counters: z
      .strictObject({
        url: Web.optional().describe(
          "Prometheus text that counts what was sent, such as http://[::1]:8080/metrics.",
        ),
        file: AbsolutePath.optional().describe("Or a file in that form."),
        sent: Series.describe("Counter of probes sent."),
        received: Series.describe("Counter of replies."),
        accepted: Series.optional().describe("Counter of results that the broker took."),
      })
      .refine(
        ({ url, file }) => (url === undefined) !== (file === undefined),
        "counters are in either url or file",
      )
      .describe("Where it is counted what was sent and what came back."),
    window: Duration.default("1h").describe(
      "Over which replies are held against probes: they come in bursts.",
    ),
    sent_min: z
      .int()
      .min(1)
      .default(1_000)
      .describe("Fewer probes within the window tell nothing of replies: it is blind then."),
    replies_min: z.number().gt(0).max(1).default(0.001).describe("Replies for each probe; fewer are red."),
    broker: HostPort.optional().describe("Broker of the results, which must answer the Kafka protocol."),
  })
  .refine(({ window }) => within(window, WINDOW_MIN_MS, WINDOW_MAX_MS), {
    message: "must be from 1m to 24h",
    path: ["window"],
  })
  .refine(({ broker, counters }) => broker !== undefined || counters.accepted !== undefined, {
    message:
      "whether the broker takes results is told by `broker` or by `accepted` of the counters: give one",
  });
export type Probe = z.infer<typeof Probe>;

/** Fields that only some ways of asking have. */
const FIELDS_OF: Readonly<Record<string, readonly CheckMethod[]>> = {
  status: ["http"],
  contains: ["http"],
  verify: ["http", "tls"],
  valid_for: ["http", "tls"],
  server: ["dns"],
  type: ["dns"],
  answer: ["dns"],
  user: ["command"],
};

export const Check = z
  .strictObject({
    http: Web.optional().describe("Address that must answer; what it sends elsewhere is not followed."),
    tcp: HostPort.optional().describe("Must take a connection."),
    dns: Name.optional().describe("Name that must resolve."),
    icmp: Address.optional().describe("Must answer an echo request."),
    tls: HostPort.optional().describe("Must show a certificate that is good for its name."),
    command: z
      .array(
        z
          .string()
          .min(1)
          .max(4_096)
          .regex(/^[^\p{Cc}]*$/u, "must be one line"),
      )
      .min(1)
      .max(64)
      .optional()
      .describe("Program and arguments, without a shell, under a user of its own; must end with 0."),
    probe: Probe.optional().describe("This host measures, and its results must come to be."),
    status: z
      .int()
      .min(100)
      .max(599)
      .optional()
      .describe("Of http: the status asked for; default: 200 to 399."),
    contains: z
      .string()
      .min(1)
      .max(1_024)
      .optional()
      .describe("Of http: text that must be in the first 256 KiB of the answer."),
    verify: z
      .boolean()
      .optional()
      .describe(
        "Of http and tls: whether the certificate must be good. Default: yes, by this system's CAs or the fleet's own.",
      ),
    valid_for: Span.optional().describe("Of http and tls: for how long the certificate must still be good."),
    server: Server.optional().describe(
      "Of dns: which server is asked, by address; default: those of the host.",
    ),
    type: z
      .enum(["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"])
      .optional()
      .describe("Of dns: which records; default AAAA."),
    answer: z
      .string()
      .min(1)
      .max(1_024)
      .optional()
      .describe("Of dns: a record that must be among them, as `dig +short` shows it."),
    user: Account.refine((name) => name !== "root", "must not be root: a check needs no more than to look")
      .optional()
      .describe("Of command: who runs it; default: a user that exists only for the run."),
    every: Duration.default("30s").describe(
      "How often, give or take a tenth; every 5 s while a turn is in question; every 15 s at least while it is not up, but for command and icmp, which start a process.",
    ),
    timeout: Duration.default("5s").describe("An answer that takes longer is none; 10s at most."),
    rise: z.int().min(1).max(20).default(2).describe("Good answers in a row until it is up again."),
    fall: z
      .int()
      .min(1)
      .max(20)
      .default(3)
      .describe("Bad answers in a row until it is down. One that was never up is down at the first."),
  })
  .superRefine((spec, context) => {
    const ways = CHECK_METHODS.filter((method) => spec[method] !== undefined);
    const [way] = ways;
    if (way === undefined || ways.length > 1) {
      const found = ways.length === 0 ? "none is here" : `here are ${ways.join(" and ")}`;
      context.addIssue({
        code: "custom",
        message: `a check has exactly one of ${CHECK_METHODS.join(", ")}; ${found}`,
      });
      return;
    }
    for (const [field, of] of Object.entries(FIELDS_OF))
      if (spec[field as keyof typeof spec] !== undefined && !of.includes(way))
        context.addIssue({ code: "custom", message: `goes with ${of.join(" and ")} only`, path: [field] });
    if (!within(spec.timeout, 1, TIMEOUT_MAX_MS))
      context.addIssue({ code: "custom", message: "must be from 1ms to 10s", path: ["timeout"] });
    if (!within(spec.every, EVERY_MIN_MS, WINDOW_MAX_MS))
      context.addIssue({ code: "custom", message: "must be from 1s to 24h", path: ["every"] });
  })
  .describe(
    "Something that must answer, asked by the host itself: over HTTP, TCP, DNS, ICMP or TLS, by a command, or whether a measuring host measures.",
  );
export type Check = z.infer<typeof Check>;

const within = (text: string, least_ms: number, most_ms: number) =>
  durationMs(text) >= least_ms && durationMs(text) <= most_ms;
const portIn = (text: string) => Number(text.slice(text.lastIndexOf(":") + 1));

/** The way of asking. */
export const methodOf = (check: Check): CheckMethod =>
  CHECK_METHODS.find((method) => check[method] !== undefined) ?? "command";

/** What is asked, for people: without what may be a secret (a query's words, a program's arguments). */
export function targetOf(check: Check): string {
  const { http, dns, command, probe } = check;
  if (http !== undefined) return http.replace(/\?.*$/, "?…");
  if (dns !== undefined)
    return `${dns} ${check.type ?? "AAAA"}${check.server === undefined ? "" : ` at ${check.server}`}`;
  if (command !== undefined) return command[0] + (command.length > 1 ? " …" : "");
  if (probe !== undefined) return probe.prefix;
  return check.tcp ?? check.icmp ?? check.tls ?? "";
}
