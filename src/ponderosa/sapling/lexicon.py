"""The words of the world's sentences in its second language, Esperanto, a word for a word.

The words are Esperanto's, the grammar is English: a small model can carry a sentence over from either language to the
other. Every word has one counterpart and no word is of both languages, so that nothing is lost on the way.
"""

_PAIRS = """
a iu, add adiciu, after post, ahead antaŭe, all ĉiuj, along laŭ, among meze, an iun, and kaj, answer respondo,
apart dise, apples pomoj, are estadas, arithmetic aritmetika, as kiel, at ĉe, average averaĝo, away foren, bad malbona,
bag sako, bags sakoj, basket korbo, be esti, beads bidoj, beat venki, beats venkas, began komencis, behind malantaŭe,
belong apartenas, between inter, bit iomete, books libroj, both ambaŭ, box skatolo, boxes skatoloj, but sed,
buttons butonoj, buys aĉetas, by je, calculate kalkulu, can povas, cards kartoj, carry porti, case ujo, cases ujoj,
catch kapti, child infano, children infanoj, coins moneroj, collects kolektas, combined kombine, common komuna,
cost kosti, costs kostas, could povus, counted nombritaj, crate kesto, crates kestoj, cups tasoj, daily ĉiutage,
day tago, days tagoj, determine determinu, difference diferenco, divisor divizoro, do faras, does agas, double duobla,
doubled duobligis, dozen dekduo, each ĉiu, eggs ovoj, end fino, ends finoj, equal egala, equally egale,
equation ekvacio, evenly ebene, every ĉia, exceed superas, fall falas, fewer malpli, figs figoj, fill plenigi,
fills plenigas, final fina, find trovu, finds trovas, following sekva, for por, free senpaga, friends amikoj, from de,
gave donis, get ricevi, gets ricevas, give donu, gives donas, go iri, got ricevis, greatest plejgranda, green verdaj,
groups grupoj, had havis, half duono, halfway duonvoje, has havas, have havi, heap amaso, heaps amasoj, hold teni,
holds tenas, how kiom, if se, in en, is estas, it ĝi, jars bokaloj, join aliĝas, keeps gardas, kept gardis,
larger granda, last lasta, least plejeta, left restintaj, less malmulte, level ebenigas, lines vicigas, loose lozaj,
loses perdas, lost perdis, made faritaj, make fari, many multaj, marbles globetoj, market bazaro, matches kongruas,
meter metro, meters metroj, minus minuse, missing mankas, more pli, multiple oblo, multiplication multipliko,
must devas, need bezoni, needed bezonataj, needs bezonas, next apud, not ne, number nombro, numbered numeritaj,
numbers nombroj, nuts nuksoj, of da, on sur, one unu, ones unuj, only nur, opens malfermas, or aŭ, other alia,
others aliaj, out ekster, over super, own posedi, owns posedas, packs pakas, path pado, pears piroj, pens plumoj,
per po, percent procentoj, person persono, picks plukas, piles stakoj, plums prunoj, plus pluse, problem problemo,
put meti, puts metas, remain resti, rest resto, result rezulto, right ĝusta, row vico, rows vicoj, sacks saketoj,
same sama, satisfies plenumas, sells vendas, sends sendas, set aranĝitaj, sets aranĝas, share parto, shared dividitaj,
shares dividas, shells konkoj, shop butiko, short mallonga, single sola, smaller malgranda, so tial, solve solvu,
split disigas, stalls standoj, stamps markoj, starting komencante, starts komencas, state diru, stones ŝtonoj,
store stoki, takes prenas, than ol, that ke, the la, their ilia, theirs ilies, them ilin, then tiam, there tie,
these jenaj, this tio, those tiuj, through tra, thrown ĵetitaj, time fojo, times fojoj, to al, together kune,
took prenis, top supro, total sumo, trays pletoj, trips vojaĝoj, twice dufoje, two du, uncle onklo, up supren,
used uzis, value valoro, wait atendu, wall muro, wants volas, warm varma, week semajno, weeks semajnoj, were estis,
what kio, when kiam, which kiu, who kiuj, with kun, worth valoras, would estus, your via
"""

ESPERANTO: dict[str, str] = dict(pair.split() for pair in _PAIRS.replace("\n", " ").split(","))
"""English word -> Esperanto word, in lower case. Names, numbers and all other words stay as they are."""
