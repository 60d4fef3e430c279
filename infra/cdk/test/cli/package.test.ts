// The package: what it is made of, and that an app of one's own can use it as the README says.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { folder, PACKAGE, standIns, write } from "../testing";

interface Locked {
  resolved?: string;
  integrity?: string;
  inBundle?: boolean;
  license?: string;
}

const json = (name: string) => JSON.parse(readFileSync(join(PACKAGE, name), "utf8"));

test("every dependency is pinned, by content and not by host, under a permissive licence", () => {
  const { dependencies, devDependencies } = json("package.json") as Record<string, Record<string, string>>;
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) assert.match(version, /^\d+\.\d+\.\d+$/, name);
  const permissive = ["Apache-2.0", "MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "BlueOak-1.0.0", "(MIT OR GPL-3.0-or-later)"];
  const { "": _, ...packages } = json("package-lock.json").packages as Record<string, Locked>;
  assert.ok("node_modules/aws-cdk-lib" in packages);
  for (const [name, { resolved, integrity, inBundle, license }] of Object.entries(packages)) {
    assert.equal(resolved, undefined, name);
    // What comes inside another package is covered by that one's.
    assert.ok(inBundle || integrity?.startsWith("sha512-"), name);
    assert.ok(permissive.includes(license ?? ""), `${name}: ${license}`);
  }
});

test("the README's app, with the package as it is packed", () => {
  const app = folder();
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--silent", "--pack-destination", app], { cwd: PACKAGE, encoding: "utf8" }));
  mkdirSync(join(app, "node_modules/petrel-cdk"), { recursive: true });
  execFileSync("tar", ["-xzf", join(app, filename), "--strip-components=1", "-C", join(app, "node_modules/petrel-cdk")]);
  for (const name of ["aws-cdk-lib", "constructs", "yaml", "@types"]) symlinkSync(join(PACKAGE, "node_modules", name), join(app, "node_modules", name));

  const [, code = ""] = readFileSync(join(PACKAGE, "README.md"), "utf8").match(/```ts\n([^]*?)```/) ?? [];
  write(join(app, "app.ts"), code);
  const strict = ["--strict", "--module", "node20", "--types", "node", "--skipLibCheck"];
  execFileSync(join(PACKAGE, "node_modules/.bin/tsc"), [...strict, "app.ts"], { cwd: app, stdio: ["ignore", "inherit", "inherit"] });
  symlinkSync(standIns(), join(app, "binaries"));
  execFileSync("node", ["app.js"], { cwd: app, env: { ...process.env, CDK_OUTDIR: join(app, "cdk.out"), CDK_VALIDATION: "false" } });

  const template = JSON.parse(readFileSync(join(app, "cdk.out/Chat.template.json"), "utf8"));
  assert.equal(template.Resources.SendFunction.Type, "AWS::Serverless::Function");
  assert.match(JSON.stringify(template.Outputs), /wss:/);
});
