/** Checks the page that is open with axe-core, for people who use screen readers, keyboards, or need contrast. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** Throws if axe finds something serious, in light or in dark. Returns the number of rules that passed. */
export async function accessible(page: Page): Promise<number> {
  let passed = 0;
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe.source);
    const { violations, passes } = await page.evaluate(() =>
      (globalThis as unknown as { axe: typeof axe }).axe.run(document, { resultTypes: ['violations', 'passes'] }),
    );
    passed += passes.length;
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    if (serious.length === 0) continue;
    const lines = serious.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`,
    );
    throw new Error(`${colorScheme}: ${lines.join('; ')}`);
  }
  await page.emulateMedia({ colorScheme: null });
  return passed;
}
