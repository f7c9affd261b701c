/** Real receivers of alerts on loopback: an HTTP server that keeps what it was sent, and an SMTP server. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTls } from "node:https";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { SMTPServer } from "smtp-server";

export type Received = {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
};

export type HttpReceiver = {
  readonly url: string;
  readonly received: Received[];
  /** What it answers from now on; null = nothing at all. */
  answer: { status: number; body: string; headers?: Record<string, string> } | null;
  stop(): Promise<void>;
};

/** With `tls` it speaks HTTPS. */
export async function httpReceiver(tls?: { key: string; cert: string }): Promise<HttpReceiver> {
  const received: Received[] = [];
  const on = (request: IncomingMessage, reply: import("node:http").ServerResponse) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const sent = Buffer.concat(parts);
      const body = headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
      received.push({ method, path: url, headers, body: body.toString() });
      const { answer } = receiver;
      if (answer !== null) reply.writeHead(answer.status, answer.headers).end(answer.body);
    });
  };
  const server: Server = tls === undefined ? createServer(on) : createTls(tls, on);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const receiver: HttpReceiver = {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    received,
    answer: { status: 200, body: "{}" },
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return receiver;
}

export type Mail = {
  readonly from: string;
  readonly to: readonly string[];
  readonly user: string;
  readonly text: string;
};
export type MailReceiver = {
  readonly server: string;
  readonly mails: Mail[];
  stop(): Promise<void>;
};

/** Takes mail from `user` with `password` after STARTTLS only; without them from anybody, in clear. */
export async function mailReceiver(given?: {
  key: string;
  cert: string;
  user: string;
  password: string;
}): Promise<MailReceiver> {
  const mails: Mail[] = [];
  const server = new SMTPServer({
    ...(given === undefined
      ? { disabledCommands: ["STARTTLS", "AUTH"], authOptional: true }
      : { key: given.key, cert: given.cert, authOptional: false, allowInsecureAuth: false }),
    onAuth({ username, password }, _session, done) {
      if (username === given?.user && password === given?.password) done(null, { user: username });
      else done(new Error(`no log-in for ${username}`));
    },
    onRcptTo({ address }, _session, done) {
      if (address.startsWith("nobody@")) done(new Error("no such user here"));
      else done();
    },
    onData(stream, session, done) {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          user: String(session.user ?? ""),
          text: Buffer.concat(parts).toString(),
        });
        done();
      });
    },
  });
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.server.address() as AddressInfo;
  return {
    server: `127.0.0.1:${port}`,
    mails,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
