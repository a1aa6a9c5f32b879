// What people come for, each from the overview in at most three actions, whatever browser it is.

import assert from "node:assert/strict";

/** @import { Report } from "./report.js" */

/**
 * What a reader does and sees. Elements are named by a selector and a text that they have.
 * @typedef {object} Reader
 * @property {(selector: string, text?: string) => Promise<void>} press an action: a click, or a tap
 * @property {(selector: string, text: string) => Promise<void>} type an action: typing into a field
 * @property {(selector: string, text?: string) => Promise<string>} see waits until it is there; its text,
 *   and the value of a field
 * @property {() => Promise<string>} download an action: what comes from pressing "Save as CSV"
 */

/** The most actions that a task may take. */
const MOST = 3;

/**
 * @typedef {object} Task
 * @property {string} question
 * @property {(reader: Reader, latest: Report) => Promise<void>} answer
 */

/** @type {readonly Task[]} */
export const TASKS = [
  {
    question: "Is my relay well, and what do I mend?",
    answer: async (reader, { failures }) => {
      const { exit_nickname: nickname, exit_fingerprint: fingerprint } = failures[0];
      await reader.press("#menu a", "Relays");
      await reader.type("input[type=search]", fingerprint);
      await reader.press(".grid-body a", nickname);
      await reader.see("h1", nickname);
      const text = await reader.see("main", fingerprint);
      assert.match(text, /runs? in a row/);
      assert.match(await reader.see(".checks"), /resolv/);
    },
  },
  {
    question: "Whom do I write to today, and what?",
    answer: async (reader) => {
      await reader.press('section.card li a[href^="#/operator/"]', "");
      await reader.press("summary", "A text for a mail");
      assert.match(await reader.see(".mail textarea"), /^Hello,[\s\S]*did not resolve a name/);
    },
  },
  {
    question: "What happened yesterday?",
    answer: async (reader) => {
      await reader.press("#menu a", "Incidents");
      await reader.press("main table a", "");
      assert.match(await reader.see("main", "Their share"), /since|Since/);
    },
  },
  {
    question: "Is it the same five each week?",
    answer: async (reader) => {
      await reader.press("a", "All that fail every week");
      assert.match(await reader.see("main", "of them in both"), /within the last 7 days/);
    },
  },
  {
    question: "How much bandwidth, in which country, which network?",
    answer: async (reader) => {
      await reader.press("#menu a", "Places");
      assert.match(await reader.see("tbody tr", "%"), /%[\s\S]*%/);
      await reader.press("a.choice", "By network");
      assert.match(await reader.see("tbody tr", "AS"), /AS\d+[\s\S]*%/);
    },
  },
  {
    question: "Give me these as CSV",
    answer: async (reader, { results }) => {
      await reader.press("#menu a", "Relays");
      await reader.see(".relay-count", String(results.length));
      const csv = await reader.download();
      assert.equal(csv.trimEnd().split(/\r\n(?=[0-9A-F]{40})/).length, results.length + 1);
    },
  },
];

/**
 * A reader that does not do more than a task may take.
 * @param {Reader} reader
 * @returns {Reader}
 */
export function counted(reader) {
  let actions = 0;
  const act = () => {
    actions += 1;
    assert.ok(actions <= MOST, `more than ${MOST} actions`);
  };
  return {
    press: async (selector, text) => {
      act();
      await reader.press(selector, text);
    },
    type: async (selector, text) => {
      act();
      await reader.type(selector, text);
    },
    see: (selector, text) => reader.see(selector, text),
    download: async () => {
      act();
      return reader.download();
    },
  };
}
