// What the tests share: stand-in binaries, synthesis in this process, and a reading of templates that does not care how
// a value came to stand in them.

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { App, Stack } from "aws-cdk-lib";
import { Petrel, type PetrelProps } from "../lib";
import { isObject, type Json, type JsonObject, readTemplate, type Template } from "../lib/template";

export const PACKAGE = join(__dirname, "../..");
export const TEMPLATE = process.env["PETREL_TEMPLATE"] || join(PACKAGE, "../../template.yaml");

/** The least that the template wants. */
export const GIVEN = { tokenIssuer: "https://issuer.example", tokenAudience: "petrel" };

const folders: string[] = [];
process.on("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that goes with this process. */
export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "petrel-cdk-"));
  folders.push(made);
  return made;
}

const MACHINES = { arm64: 0xb7, x86_64: 0x3e };

/** An ELF header for `architecture` that says whose it is: enough for all but running it. */
export function elf(name: string, architecture: keyof typeof MACHINES): Buffer {
  const header = Buffer.alloc(64);
  header.write("\x7fELF\x02\x01\x01", "latin1");
  header.writeUInt16LE(3, 16); // a position independent executable
  header.writeUInt16LE(MACHINES[architecture], 18);
  return Buffer.concat([header, Buffer.from(name)]);
}

export function write(path: string, content: string | Buffer) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, 0o644);
}

/** The functions of the template by logical id, each with its binary's name. */
export function functionsOf(template: Template): [string, string][] {
  const functions = Object.entries(template["Resources"] ?? {}).filter(
    ([, resource]) => isObject(resource) && resource["Type"] === "AWS::Serverless::Function",
  );
  return functions.map(([logicalId]) => [logicalId, logicalId.replace(/Function$/, "").toLowerCase()]);
}

/** A folder as cargo-lambda leaves it, with a stand-in for each function of the template. */
export function standIns(architecture: keyof typeof MACHINES = "arm64", path = TEMPLATE): string {
  const made = folder();
  for (const [, binary] of functionsOf(readTemplate(path))) write(join(made, binary, "bootstrap"), elf(binary, architecture));
  return made;
}

export interface Synthesised {
  template: Template;
  /** Asset files by the object key that the template names. */
  files: Map<string, string>;
}

/** What a stack with nothing but Petrel in it becomes. `props` may be wrong on purpose. */
export function synthesise(props: object): Synthesised {
  const app = new App({ outdir: folder(), builtinCloudFormationValidation: false });
  const stack = new Stack(app, "Petrel");
  new Petrel(stack, "Petrel", props as PetrelProps);
  return read(app.synth().directory);
}

/** What stands in the cloud assembly in `directory`, with one stack called Petrel. */
export function read(directory: string): Synthesised {
  const json = (name: string) => JSON.parse(readFileSync(join(directory, name), "utf8"));
  const files = new Map<string, string>();
  for (const { source, destinations } of Object.values<any>(json("Petrel.assets.json").files)) {
    for (const { objectKey } of Object.values<any>(destinations)) files.set(objectKey, join(directory, source.path));
  }
  return { template: json("Petrel.template.json"), files };
}

/** `node` with every scalar as text: CloudFormation makes no difference. */
function asText(node: Json): Json {
  if (Array.isArray(node)) return node.map(asText);
  if (!isObject(node)) return String(node);
  return Object.fromEntries(Object.entries(node).map(([key, part]) => [key, asText(part)]));
}

/**
 * What the synthesised template must be: the one at `path`, with what is `given` as the parameters' defaults and `code`
 * as the functions' CodeUri.
 */
export function expected(path: string, given: Record<string, unknown>, code: Record<string, Json>): Json {
  const template = structuredClone(readTemplate(path));
  for (const [name, declared] of Object.entries(template["Parameters"] ?? {})) {
    const value = given[`${name[0]?.toLowerCase()}${name.slice(1)}`];
    if (value !== undefined) (declared as JsonObject)["Default"] = String(value);
  }
  for (const [logicalId, uri] of Object.entries(code)) {
    const resource = template["Resources"]?.[logicalId] as { Properties: JsonObject };
    resource.Properties["CodeUri"] = uri;
  }
  return asText(template);
}

/**
 * The synthesised template with the parameters' own names, and without what every CDK stack has: a check that the
 * account is bootstrapped.
 */
export function actual(template: Template): Json {
  const plain = structuredClone(template);
  delete plain["Parameters"]?.["BootstrapVersion"];
  delete plain["Rules"]?.["CheckBootstrapVersion"];
  if (plain["Rules"] && Object.keys(plain["Rules"]).length === 0) delete plain["Rules"];
  let text = JSON.stringify(asText(plain));
  for (const id of Object.keys(plain["Parameters"] ?? {})) text = text.replaceAll(new RegExp(`\\b${id}\\b`, "g"), id.slice(0, -8));
  return JSON.parse(text);
}

/** The functions' CodeUri in the synthesised template. */
export function codeOf({ template }: Synthesised): Record<string, { Bucket: Json; Key: string }> {
  const code = functionsOf(template).map(([logicalId]) => {
    const resource = template["Resources"]?.[logicalId] as { Properties: JsonObject };
    return [logicalId, resource.Properties["CodeUri"]];
  });
  return Object.fromEntries(code);
}
