/**
 * Where the real servers of the tests come from: the lab's own tools (PATH, our cache, the maker, a build), so that tests
 * and demo run the same programs.
 */
type Tools = { ensureTool(name: string, progress: unknown): Promise<{ path: string }> };
type Progress = { createProgress(): unknown };

/** The path of nats-server or Vault. The runner has put them in place before; alone, a test may have to wait for a build. */
export async function binary(name: "nats-server" | "vault"): Promise<string> {
  // Plain JavaScript without declarations, since it has to run before anything is installed.
  const lab = new URL("../../deploy/lab/", import.meta.url);
  const tools: Tools = await import(new URL("tools.mjs", lab).href);
  const progress: Progress = await import(new URL("progress.mjs", lab).href);
  const tool = await tools.ensureTool(name, progress.createProgress());
  return tool.path;
}
