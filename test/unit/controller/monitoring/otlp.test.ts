/** The metrics by OTLP over HTTP: the same as /metrics shows, in the protocol's JSON, at a period; what a receiver refuses is told. */
import { OtlpExport, otlpRequests } from "@muster/controller/monitoring/otlp";
import { openLog } from "@muster/ports/log";
import { Otlp } from "@muster/protocol/monitoring";
import * as assert from "uvu/assert";
import { z } from "zod";
import type { Family } from "../../../../packages/controller/src/metrics/exposition.ts";
import { httpReceiver } from "../../../kit/alert-receivers.ts";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";

const SOON_MS = 20_000;
const CANARY = "s3cret-canary-of-otlp";

/** ExportMetricsServiceRequest in proto3's JSON: opentelemetry-proto, collector/metrics/v1 and metrics/v1; 64-bit integers are texts there. */
const Attributes = z.array(
  z.strictObject({ key: z.string().min(1), value: z.strictObject({ stringValue: z.string() }) }),
);
const Points = z.array(
  z.strictObject({
    attributes: Attributes,
    timeUnixNano: z.string().regex(/^\d{19}$/),
    asDouble: z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"])]),
  }),
);
const Request = z.strictObject({
  resourceMetrics: z.array(
    z.strictObject({
      resource: z.strictObject({ attributes: Attributes }),
      scopeMetrics: z.array(
        z.strictObject({
          scope: z.strictObject({ name: z.string() }),
          metrics: z.array(
            z.union([
              z.strictObject({
                ...{ name: z.string(), description: z.string() },
                gauge: z.strictObject({ dataPoints: Points }),
              }),
              z.strictObject({
                ...{ name: z.string(), description: z.string() },
                sum: z.strictObject({
                  dataPoints: Points,
                  aggregationTemporality: z.literal(2),
                  isMonotonic: z.literal(true),
                }),
              }),
            ]),
          ),
        }),
      ),
    }),
  ),
});
const metricsOf = (request: unknown) =>
  Request.parse(request).resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) => metrics),
  );

const FAMILIES: readonly Family[] = [
  {
    ...{ name: "muster_host_up", help: "1 = heard of late.", type: "gauge", labels: ["host"] },
    values: [
      { words: ["ixp1"], value: 1 },
      { words: ["core1"], value: 0 },
    ],
  },
  {
    ...{ name: "muster_rx_bytes_total", help: "Received.", type: "counter", labels: ["host", "interface"] },
    values: [{ words: ["ixp1", "eth0"], value: 1.5e12 }],
  },
  { name: "muster_nothing", help: "Without a value.", type: "gauge", labels: [], values: [] },
];

suite("metrics by OTLP", (test) => {
  const log = openLog({ name: "otlp-test", level: "silent" });

  test("gauges and counters as the protocol has them; what has no value is not there", async () => {
    const requests: object[] = [];
    for await (const each of otlpRequests(FAMILIES, { "service.name": "muster" }, 1_795_000_000_123))
      requests.push(each);
    const [request] = requests;
    assert.is(requests.length, 1);
    const metrics = metricsOf(request);
    const point = (value: number, attributes: object) => ({
      attributes: Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } })),
      ...{ timeUnixNano: "1795000000123000000", asDouble: value },
    });
    assert.equal(metrics, [
      {
        ...{ name: "muster_host_up", description: "1 = heard of late." },
        gauge: { dataPoints: [point(1, { host: "ixp1" }), point(0, { host: "core1" })] },
      },
      {
        ...{ name: "muster_rx_bytes_total", description: "Received." },
        sum: {
          dataPoints: [point(1.5e12, { host: "ixp1", interface: "eth0" })],
          ...{ aggregationTemporality: 2, isMonotonic: true },
        },
      },
    ]);
  });

  test("many values go in requests of bounded size, none twice and none left out", async () => {
    const values = Array.from({ length: 12_345 }, (_, at) => ({ words: [`h${at}`], value: at }));
    const many: Family[] = ["muster_a", "muster_b"].map((name) => ({
      ...{ name, help: "x", type: "gauge", labels: ["host"], values },
    }));
    const sizes: number[] = [];
    const seen = new Set<string>();
    for await (const request of otlpRequests(many, {}, 1_795_000_000_000)) {
      let size = 0;
      for (const metric of metricsOf(request)) {
        const { dataPoints } = "gauge" in metric ? metric.gauge : metric.sum;
        size += dataPoints.length;
        for (const { attributes } of dataPoints)
          seen.add(`${metric.name} ${attributes[0]?.value.stringValue}`);
      }
      sizes.push(size);
    }
    assert.is(seen.size, 24_690);
    assert.ok(Math.max(...sizes) <= 5_000, sizes.join());
    assert.is(
      sizes.reduce((sum, each) => sum + each),
      24_690,
    );
  });

  test("a receiver gets them at once and at the period, with log-in and attributes; one that refuses is told, without the secret", async () => {
    const receiver = await httpReceiver();
    const otlp = Otlp.parse({
      ...{ url: `${receiver.url}/otlp/`, every_ms: 5_000, token: "vault:kv/alerts/otlp#token" },
      attributes: { "deployment.environment": "lab" },
    });
    const ports = { fleet: "as64500", families: () => FAMILIES, log, now: Date.now };
    const secret = async (text: string) => (text.startsWith("vault:") ? CANARY : text);
    const going = new OtlpExport(otlp, { ...ports, secret });
    try {
      await eventually(() => assert.ok(receiver.received.length > 0), SOON_MS);
      const [first] = receiver.received;
      assert.equal(
        [first?.path, first?.headers["content-type"], first?.headers.authorization],
        ["/otlp/v1/metrics", "application/json", `Bearer ${CANARY}`],
      );
      const { resource } = Request.parse(JSON.parse(first?.body ?? "")).resourceMetrics[0] ?? {};
      assert.equal(
        resource?.attributes.map(({ key, value }) => [key, value.stringValue]),
        [
          ["service.name", "muster"],
          ["service.namespace", "as64500"],
          ["deployment.environment", "lab"],
        ],
      );
      receiver.answer = { status: 415, body: "unsupported media type" };
      await eventually(
        () => assert.match(going.standing().error, /answered 415: unsupported media type/),
        SOON_MS,
      );
      assert.not.ok(JSON.stringify(going.standing()).includes(CANARY));
      // With success, and yet not all of it was taken.
      const partly = { partialSuccess: { rejectedDataPoints: "2", errorMessage: "name is\n too long" } };
      receiver.answer = { status: 200, body: JSON.stringify(partly) };
      await eventually(
        () => assert.match(going.standing().error, /refused 2 values: name is too long$/),
        SOON_MS,
      );
      assert.type(going.standing().failing_since, "number");
      receiver.answer = { status: 200, body: "" };
      await eventually(() => assert.is(going.standing().error, ""), SOON_MS);
    } finally {
      await going.stop();
      await receiver.stop();
    }
  });
});
