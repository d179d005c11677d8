// The page at `/`: loads the list of models, and connects the choice of a model, the languages and
// the two panels.

import { byId, fillSelect, say, sentence } from './elements.js';
import { getModels } from './requests.js';
import { DocumentPanel } from './document_panel.js';
import { TextPanel } from './text_panel.js';

const AUTO = 'auto';

/** The choice of a model and of its languages. */
class Choices {
  constructor(server) {
    this.server = server;
    this.model = server.models[0];
    this.select = byId('model');
    fillSelect(this.select, server.models.map((model) => [model.name, model.name]));
  }

  /** Follows the choice of another model. */
  update() {
    this.model = this.server.models.find((model) => model.name === this.select.value);
    const { languages } = this.model;
    byId('source-field').hidden = byId('target-field').hidden = !languages;
    if (!languages) return;
    const sources = listed(languages.sources);
    if (languages.any_source) sources.unshift([AUTO, 'Any language']);
    fillSelect(byId('source'), sources);
    fillSelect(byId('target'), listed(languages.targets));
    const source = languages.any_source ? AUTO : likeliest(languages.sources, ['en'], '');
    byId('source').value = source;
    byId('target').value = likeliest(languages.targets, navigator.languages, source);
  }

  /** Returns what a request says of the model and the languages. */
  request() {
    if (!this.model.languages) return { model: this.model.name };
    return {
      model: this.model.name,
      source: byId('source').value,
      target: byId('target').value,
    };
  }
}

/**
 * Returns the code of the language that is chosen at first.
 *
 * @param {Object[]} languages that there are.
 * @param {string[]} wanted codes that come first, such as those of the browser.
 * @param {string} besides a code that is chosen where there is no other.
 */
function likeliest(languages, wanted, besides) {
  const codes = languages.map(({ code }) => code);
  const others = codes.filter((code) => code !== besides);
  const found = wanted
    .flatMap((code) => [code, code.split('-')[0]])
    .find((code) => others.includes(code));
  return found || others[0] || codes[0];
}

/** Returns options for languages, by their names. */
function listed(languages) {
  return languages
    .map(({ code, name }) => [code, name])
    .sort(([, a], [, b]) => a.localeCompare(b, 'en'));
}

/** Connects tabs and their panels: a click or the arrow keys choose one. */
function connectTabs() {
  const tabs = [...document.querySelectorAll('[role=tab]')];
  const choose = (chosen) => {
    for (const tab of tabs) {
      tab.setAttribute('aria-selected', String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute('aria-controls')).hidden = tab !== chosen;
    }
  };
  tabs.forEach((tab, at) => {
    tab.addEventListener('click', () => choose(tab));
    tab.addEventListener('keydown', (event) => {
      const to = {
        ArrowRight: (at + 1) % tabs.length,
        ArrowLeft: (at + tabs.length - 1) % tabs.length,
        Home: 0,
        End: tabs.length - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(tabs[to]);
      tabs[to].focus();
    });
  });
}

async function start() {
  connectTabs();
  let server;
  try {
    server = await getModels();
  } catch (error) {
    say(byId('failure'), sentence(error.message));
    return;
  }
  const choices = new Choices(server);
  const panels = [new TextPanel(choices), new DocumentPanel(choices)];
  const update = () => {
    choices.update();
    for (const panel of panels) panel.update();
  };
  byId('choices').addEventListener('submit', (event) => event.preventDefault());
  byId('model').addEventListener('change', update);
  update();
  document.documentElement.dataset.ready = 'true';
}

start();
