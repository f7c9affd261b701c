/** Each way to tell somebody, to a real receiver: what it gets, and what is said of one that refuses. Secrets go where they are meant to and nowhere else. */
import { readFile } from "node:fs/promises";
import type { AlertMessage } from "@muster/controller/alerts/message";
import { send } from "@muster/controller/alerts/routes/index";
import { alertSecrets } from "@muster/controller/alerts/secrets";
import { type AlertRoute, AlertRoute as Route } from "@muster/protocol/alerting";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { z } from "zod";
import {
  type HttpReceiver,
  httpReceiver,
  type MailReceiver,
  mailReceiver,
} from "../../../kit/alert-receivers.ts";
import { startAlertmanager } from "../../../kit/alertmanager.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { loopbackTls } from "../../../kit/tls.ts";

const AT = Date.parse("2026-11-26T03:00:00Z");
const CANARY = "s3cret-canary-of-the-route";
const common = { severity: "ticket", hosts: null, wait_ms: 0, repeat_ms: 60_000 } as const;
const alert = (host: string, about: string, over = false): AlertMessage["alerts"][number] => ({
  ...{ host, about, rule: "red", severity: "page", since: AT - 60_000, fired_at: AT, told: {} },
  ...{ state: over ? "resolved" : "firing", resolved_at: over ? AT : null },
  ...{ what: `${about} is DOWN\nsince a minute`, next: `ctl status ${host}` },
});
const message: AlertMessage = {
  ...{ id: "0123456789abcdef01234567", at: AT, fleet: "lab", left_out: 2 },
  alerts: [alert("ixp1", "session/upstream"), alert("_", "broker"), alert("core1", "silent", true)],
};

/** The shape that POST /api/v2/alerts takes: `postableAlerts` of prometheus/alertmanager, api/v2/openapi.yaml; label names as Prometheus has them. */
const PostableAlerts = z.array(
  z.strictObject({
    labels: z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string().min(1)),
    annotations: z.record(z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/), z.string()),
    startsAt: z.iso.datetime(),
    endsAt: z.iso.datetime(),
    generatorURL: z.url().optional(),
  }),
);

suite("alert routes", (test) => {
  const life = new AbortController();
  let place: Awaited<ReturnType<typeof temporaryDirectory>>;
  let http: HttpReceiver;
  let https: HttpReceiver;
  let mail: MailReceiver;
  let open_mail: MailReceiver;
  let ca = "";
  const door = {
    async secret(text: string) {
      if (text === "vault:kv/alerts/hook#address") return `http://me:${CANARY}@hook.example.invalid/`;
      return text.startsWith("vault:") ? CANARY : text;
    },
    signal: life.signal,
  };
  const tell = (route: AlertRoute) => send(message, Route.parse(route), door);
  const refusal = async (route: AlertRoute): Promise<string> => {
    const error = await tell(route).then(
      () => "told",
      (cause: unknown) => cause,
    );
    assert.instance(error, FleetError, String(error));
    const { message: text } = error as FleetError;
    assert.not.ok(text.includes(CANARY), text);
    return text;
  };

  test.before(async () => {
    place = await temporaryDirectory("alerts");
    const tls = await loopbackTls(place.path);
    const [cert, key] = await Promise.all([
      readFile(tls.certificate_file, "utf8"),
      readFile(tls.key_file, "utf8"),
    ]);
    ca = tls.ca.certificate_pem;
    http = await httpReceiver();
    https = await httpReceiver({ cert, key });
    mail = await mailReceiver({ cert, key, user: "muster", password: CANARY });
    open_mail = await mailReceiver();
  });
  test.after(async () => {
    life.abort();
    await Promise.all([http.stop(), https.stop(), mail.stop(), open_mail.stop()]);
    await place.release();
  });

  test("webhook: JSON with words and fields, the token over TLS that it knows, never in clear to another machine", async () => {
    const route = { to: "webhook", ...common, token: "vault:kv/alerts/hook#token" } as const;
    await tell({ ...route, url: `${https.url}/x?y=1`, ca });
    const [got] = https.received.splice(0);
    assert.equal([got?.method, got?.path], ["POST", "/x?y=1"]);
    assert.is(got?.headers.authorization, `Bearer ${CANARY}`);
    assert.is(got?.headers["idempotency-key"], message.id);
    const body = JSON.parse(got?.body ?? "");
    assert.is(body.subject, "[lab] 2 firing: ixp1 session/upstream, the fleet broker; 1 over; 2 more alerts");
    assert.equal(body.alerts.length, 3);
    assert.not.ok("told" in body.alerts[0]);
    assert.match(
      await refusal({ ...route, url: https.url }),
      /self.signed|unable to verify|SELF_SIGNED|CERT/i,
    );
    assert.match(
      await refusal({ ...route, url: "http://hook.example.invalid/" }),
      /a token or password goes over https only/,
    );
    // An address in Vault may hold a log-in; by Node's rules it goes along as one.
    const by_address = { to: "webhook", ...common, url: "vault:kv/alerts/hook#address" } as const;
    assert.match(await refusal(by_address), /a token or password goes over https only/);
    http.answer = { status: 302, body: "", headers: { location: https.url } };
    assert.match(await refusal({ ...route, url: http.url }), /the webhook answered 302/);
    http.answer = { status: 200, body: "" };
    assert.match(await refusal({ ...route, url: "http://127.0.0.1:1/" }), /ECONNREFUSED/);
    http.received.splice(0);
  });

  test("e-mail: after STARTTLS and log-in, with the same Message-ID each time; a refusal in the server's words", async () => {
    const route = {
      to: "email",
      ...common,
      server: mail.server,
      tls: "starttls",
      from: "muster@lab.example",
      ca,
    } as const;
    const login = { user: "muster", password: "vault:kv/alerts/smtp#password" } as const;
    const recipients = ["noc@lab.example", "alice@lab.example"];
    await tell({ ...route, ...login, recipients });
    const [got] = mail.mails.splice(0);
    // Long lines are broken for the way only (quoted-printable).
    const text = got?.text.replaceAll(/=\r?\n/g, "") ?? "";
    assert.equal([got?.user, got?.from, got?.to], ["muster", "muster@lab.example", recipients]);
    assert.match(got?.text ?? "", /^Message-ID: <0123456789abcdef01234567@lab\.example>\r?$/im);
    assert.match(got?.text ?? "", /^Subject: \[lab\] 2 firing: ixp1 session\/upstream/m);
    assert.match(
      text,
      /FIRING\r?\nixp1 {2}page since 2026-11-26 02:59 UTC: session\/upstream is DOWN since a minute\r?\n {4}ctl status ixp1/,
    );
    assert.match(
      await refusal({ ...route, ...login, user: "eve", recipients }),
      /535|no log-in for eve|Invalid login/,
    );
    assert.match(
      await refusal({ ...route, ...login, recipients: ["nobody@lab.example"] }),
      /no such user here/,
    );
    const { ca: _ca, ...unknown } = route;
    assert.match(await refusal({ ...unknown, ...login, recipients }), /self.signed|certificate/i);
    assert.match(
      await refusal({ ...route, ...login, tls: "none", recipients }),
      /goes over starttls or tls only/,
    );
    assert.match(await refusal({ ...route, ...login, server: open_mail.server, recipients }), /STARTTLS/i);
    assert.equal(open_mail.mails, []);
    await tell({ ...unknown, tls: "none", server: open_mail.server, recipients });
    assert.is(open_mail.mails.splice(0).length, 1);
  });

  test("Matrix: one event by its transaction, the token in the header and not in the address", async () => {
    const route = {
      ...common,
      to: "matrix",
      homeserver: `${http.url}/`,
      room: "!abc:lab.example",
      token: "vault:kv/alerts/matrix#token",
    } as const;
    await tell(route);
    const [got] = http.received.splice(0);
    assert.is(got?.method, "PUT");
    assert.is(got?.path, `/_matrix/client/v3/rooms/!abc%3Alab.example/send/m.room.message/${message.id}`);
    assert.is(got?.headers.authorization, `Bearer ${CANARY}`);
    const body = JSON.parse(got?.body ?? "");
    assert.is(body.msgtype, "m.text");
    assert.match(body.body, /^\[lab\] 2 firing: .*\nFIRING\nixp1/);
    http.answer = { status: 403, body: '{"errcode":"M_FORBIDDEN","error":"not in the room"}' };
    const wide = message.alerts.map((each) => ({ ...each, what: "ü".repeat(1_000) }));
    const alerts = Array.from({ length: 30 }, () => wide).flat();
    http.answer = { status: 200, body: '{"event_id":"$1"}' };
    await send({ ...message, alerts }, Route.parse(route), door);
    const [large] = http.received.splice(0);
    const bytes = Buffer.byteLength(large?.body ?? "");
    assert.ok(bytes > 20_000 && bytes < 60_000, `${bytes} bytes: an event takes 65,536`);
    http.answer = { status: 403, body: '{"errcode":"M_FORBIDDEN","error":"not in the room"}' };
    assert.match(await refusal(route), /the Matrix server answered 403: .*M_FORBIDDEN/);
    http.answer = { status: 200, body: "{}" };
    http.received.splice(0);
  });

  test("Alertmanager: the shape of its API v2, an end ahead for what fires and now for what is over", async () => {
    await tell({ to: "alertmanager", ...common, url: http.url });
    const [got] = http.received.splice(0);
    assert.equal([got?.method, got?.path], ["POST", "/api/v2/alerts"]);
    const alerts = PostableAlerts.parse(JSON.parse(got?.body ?? ""));
    assert.equal(alerts[0]?.labels, {
      ...{
        alertname: "MusterSession",
        fleet: "lab",
        severity: "page",
        about: "session/upstream",
        host: "ixp1",
      },
    });
    assert.not.ok("host" in (alerts[1]?.labels ?? {}));
    assert.equal(
      alerts.map(({ endsAt }) => Date.parse(endsAt) - AT),
      [300_000, 300_000, 0],
    );
  });

  test("a real Alertmanager takes what fires, keeps it as one when it is told again, groups it, and tells that it is over", async () => {
    const peer = await startAlertmanager(`${http.url}/group`);
    try {
      const route = Route.parse({ to: "alertmanager", ...common, url: `${peer.url}/` });
      const now = Date.now();
      const of = (about: string, over: boolean) => {
        const since = { since: now - 60_000, fired_at: now - 30_000, resolved_at: over ? now : null };
        return { ...alert("ixp1", about, over), ...since };
      };
      const tell_it = (over: boolean) =>
        send(
          {
            ...{ ...message, at: now, left_out: 0 },
            alerts: [of("session/upstream", over), of("session/rs1", over), of("check/web", over)],
          },
          route,
          door,
        );
      http.received.splice(0);
      await tell_it(false);
      await tell_it(false);
      await eventually(async () => assert.is((await peer.alerts()).length, 3, peer.output()), 20_000);
      const held = await peer.alerts();
      const upstream = held.find(({ labels }) => labels.about === "session/upstream");
      assert.equal(upstream?.labels, {
        ...{
          alertname: "MusterSession",
          fleet: "lab",
          severity: "page",
          about: "session/upstream",
          host: "ixp1",
        },
      });
      assert.equal(upstream?.annotations, {
        summary: "session/upstream is DOWN\nsince a minute",
        command: "ctl status ixp1",
      });
      assert.is(upstream?.status.state, "active");
      assert.is(Date.parse(upstream?.startsAt ?? ""), now - 60_000);
      assert.is(Date.parse(upstream?.endsAt ?? ""), now + 300_000);
      /** What it told our receiver last, by group: state and how many. */
      const groups = () => {
        const last = new Map<string, string>();
        for (const { body } of http.received) {
          const { groupLabels, status, alerts } = JSON.parse(body);
          last.set(groupLabels.alertname, `${status} ${alerts.length}`);
        }
        return Object.fromEntries([...last].sort());
      };
      await eventually(
        () => assert.equal(groups(), { MusterCheck: "firing 1", MusterSession: "firing 2" }, peer.output()),
        20_000,
      );
      await tell_it(true);
      await eventually(async () => {
        assert.equal(groups(), { MusterCheck: "resolved 1", MusterSession: "resolved 2" }, peer.output());
        assert.equal(await peer.alerts(), []);
      }, 20_000);
    } finally {
      await peer.stop();
      http.received.splice(0);
    }
  });

  test("a secret: of kv/alerts alone, by its field, kept for a minute; what is missing is named", async () => {
    let reads = 0;
    let now_ms = AT;
    const vault = {
      read: async (path: unknown, schema: z.ZodType) => {
        reads++;
        assert.equal(path, ["kv", "data", "alerts", "smtp"]);
        return schema.parse({ data: { password: CANARY }, metadata: {} });
      },
    } as unknown as NonNullable<Parameters<typeof alertSecrets>[0]>;
    const secret = alertSecrets(vault, () => now_ms);
    assert.is(await secret("vault:kv/alerts/smtp#password"), CANARY);
    assert.is(await secret("vault:kv/alerts/smtp#password"), CANARY);
    assert.is(reads, 1);
    now_ms += 61_000;
    await secret("vault:kv/alerts/smtp#password");
    assert.is(reads, 2);
    const fails = (reference: string) =>
      secret(reference).then(
        () => "read",
        (error: FleetError) => error.message,
      );
    assert.match(await fails("vault:kv/alerts/smtp#token"), /kv\/alerts\/smtp in Vault has no field token/);
    for (const other of [
      "vault:kv/hosts/ixp1/bgp#upstream",
      "vault:kv/alerts/../muster/fleet#x",
      "vault:kv/alerts/a/b#x",
    ])
      assert.match(await fails(other), /secrets of kv\/alerts only/);
    assert.is(reads, 3);
  });
});
