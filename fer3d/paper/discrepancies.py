"""Inconsistencies in the paper; a test checks the arithmetic of each.

Printed accuracies are taken as rounded or as cut off after one decimal, whatever fits better.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Discrepancy:
    """An inconsistency in the paper.

    Attributes:
        where: The places in the paper.
        what: What is wrong, with the arithmetic.
    """

    where: str
    what: str


DISCREPANCIES = (
    Discrepancy(
        "Abstract, Section 4.1, Table 6",
        "No number of CK+'s 327 clips is 97.56%: 319 of 327 are 97.55%, and 320 of 328 are 97.56%.",
    ),
    Discrepancy(
        "Figure 6",
        "A row cannot be the 80 clips of an emotion: 6 of 80 are 0.075 and 7 of 80 are 0.0875, where 0.076 is "
        "printed. With rows of 79, 79, 77, 83, 75 and 87 clips every share fits, every column holds 80 clips, and 404 "
        "of 480 are right (84.17%). So rows are what the network said, and the diagonal is precision, not recall.",
    ),
    Discrepancy(
        "Figure 5",
        "A row cannot be the clips of an emotion: 2 of CK+'s 25 fear clips are 0.080 and 1 of its 28 sadness clips is "
        "0.036, where 0.083 and 0.037 are printed. With rows of 45, 59, 24, 70, 27, 84 and 18 clips every share "
        "fits, and 319 of 327 are right. But the columns of anger and contempt then hold 43 and 20 clips instead of "
        "45 and 18: the 0.083 in row fear has to stand under anger, not under contempt.",
    ),
    Discrepancy(
        "Table 4",
        "c2 and c3 were not measured on the same folds, so that they cannot be paired: in fold 1, 93.9 is 31 of 33 "
        "clips and 96.8 is 30 of 31 or 31 of 32; in fold 10, 93.9 is 31 of 33, which cannot give 90 (27 of 30).",
    ),
    Discrepancy(
        "Table 4",
        "No ten folds of 20 to 48 clips that give the accuracies of c3 have CK+'s 327 clips; the likeliest, six folds "
        "of 33 and four of 32, have 326.",
    ),
    Discrepancy(
        "Section 4.1, Table 4",
        "Folds 'as in previous works' are every tenth subject's: 33, 39, 40, 35, 30, 37, 29, 29, 33 and 22 clips. Two "
        "of them have 33 clips, and the accuracies of c2 in Table 4 need six such folds (1 and 3 to 7). Folds of 32 "
        "and 33 clips, balanced by size, give all but its 90 in fold 10.",
    ),
    Discrepancy(
        "Tables 4 and 5",
        "The printed folds of c2 and c3 in Table 4 average 90.73 and 91.09 (printed: 90.76 and 91.14), those of c1 in "
        "Table 5 77.06 (printed: 77.08, which 370 of 480 are). Accuracies were cut off, not rounded: 26 of 33 are "
        "78.79, and 78.7 is printed.",
    ),
    Discrepancy(
        "Table 5",
        "Its rows are about unlike folds: each accuracy of c2 and c4 is a multiple of 1/40, each of c1 one of 1/48, "
        "and a tenth of the 480 sequences is 48; 97.5% of 48 would be 46.8 clips.",
    ),
    Discrepancy(
        "Section 4.2, Tables 5 and 8",
        "c2 has 84.25% in Table 5, which is 337 of 400 clips, and 84.17% elsewhere, which is 404 of 480; ten folds of "
        "40 clips cannot average 84.17%.",
    ),
    Discrepancy(
        "Tables 4 and 5",
        "The p-values are those of one-sided paired t-tests, which the paper does not say. From the printed "
        "accuracies: 0.00057 and 0.00065 (c1 and c2, c1 and c3 on CK+), 0.0362 and 0.0060 (c2 and c1, c2 and c4 on "
        "Oulu-CASIA); two-sided ones are twice that, and c2 and c1 then have 0.072.",
    ),
    Discrepancy(
        "Section 4.3, Tables 4 and 5",
        "Folds share training clips, which the paired t-test leaves out of account. Corrected for it (Nadeau and "
        "Bengio) and two-sided, the p-values are 0.010 and 0.011 on CK+, but 0.195 and 0.059 on Oulu-CASIA: "
        "'significant' does not hold there.",
    ),
    Discrepancy(
        "Section 4.1, Figure 5",
        "The network that has 8 of 327 clips wrong under LOSO has none wrong under 10-fold cross-validation, which "
        "trains on fewer clips and can choose the best epoch of only 10 folds of about 33 clips instead of 118 of "
        "about 3.",
    ),
    Discrepancy(
        "Abstract, Table 8",
        "The abstract has the results improve over the state of the art on Oulu-CASIA; Table 8 lists 84.72 and 93.45 "
        "above the paper's 84.17.",
    ),
    Discrepancy(
        "Tables 1 and 3",
        "Table 1 has the search choose between two initializers, Xavier uniform and Xavier normal; the best trial of "
        "Table 3 has none.",
    ),
    Discrepancy(
        "Section 4.2, Tables 4 and 5",
        "Section 4.2 refers to Figure 3 for the architecture of Oulu-CASIA, which is Figure 4; the captions of Tables "
        "4 and 5 refer to 'CK+ 3' and 'Oulu-CASIA 4', which are these figures and no tables.",
    ),
)
