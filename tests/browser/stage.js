// A browser and a server in development mode, for the tests of one file.

import { after } from 'node:test';
import { chromium } from 'playwright-core';
import { serveDev } from '../sdk/support/server.js';

export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1280, height: 800 };

export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
after(() => browser.close());
export const server = await serveDev({ after });

/** Tabs that share nothing with those of other tests; closed with the test. */
export async function newContext(t, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  t.after(() => context.close());
  return context;
}

export const onPhone = { viewport: PHONE, hasTouch: true, isMobile: true };
