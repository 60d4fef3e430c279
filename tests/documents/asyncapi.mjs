// What the AsyncAPI initiative's own parser says of a document; anything but silence ends it with 1. It does not look at the
// examples: tests/end_to_end/examples does.
import { readFileSync } from 'node:fs';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
const faults = diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning);
for (const { code, message, path } of faults) console.error(`${code} at ${path.join('.')}: ${message}`);
if (!document || faults.length > 0) process.exit(1);
