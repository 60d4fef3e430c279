// The app: one stack with one Petrel. Its parameters are the context values with the template's names.

import { App, Stack } from "aws-cdk-lib";
import { Petrel, type PetrelProps } from "../lib";

const OWN = ["stack", "binaries", "template"];

function petrel() {
  // The CDK's validation does not know SAM; cfn-lint, which does, holds the template and what SAM makes of it.
  const app = new App({ builtinCloudFormationValidation: false });
  // The CDK's own keys have other characters.
  const entries = Object.entries(app.node.getAllContext() as Record<string, string>).filter(([key]) => /^[A-Za-z0-9]+$/.test(key));
  const text = (key: string) => app.node.tryGetContext(key) as string | undefined;

  const given = Object.fromEntries(entries.filter(([key]) => !OWN.includes(key)));
  const folders = { binaries: text("binaries") ?? process.env["PETREL_BINARIES"], template: text("template") };
  const stack = new Stack(app, "Petrel", { stackName: text("stack") ?? "petrel" });
  new Petrel(stack, "Petrel", { ...given, ...folders } as unknown as PetrelProps);
}

try {
  petrel();
} catch (error) {
  if (!(error instanceof Error && error.message.startsWith("Petrel: "))) throw error;
  console.error(error.message);
  process.exit(1);
}
