from __future__ import annotations

from toolkit.datasets.synsets import imagenet_classes, synset_of_challenge_id


def test_a_thousand_classes_come_in_the_order_of_the_logits() -> None:
    ids, labels = imagenet_classes()
    assert len(ids) == len(labels) == len(set(ids)) == 1000
    assert (ids[0], labels[0]) == ("n01440764", "tench")
    assert ids == tuple(sorted(ids))


def test_every_class_has_its_number_in_the_challenge() -> None:
    known = synset_of_challenge_id()
    assert sorted(known) == list(range(1, 1001))
    assert set(known.values()) == set(imagenet_classes()[0])
    assert known[1] == "n02119789"  # kit fox


def test_the_numbers_of_the_challenge_agree_with_caffes_list_of_the_first_pictures() -> None:
    # The first lines of the kit's ground truth, and of Caffe's val.txt, for the same pictures.
    ground_truth = (490, 361, 171, 822, 297, 482)
    caffe = (65, 970, 230, 809, 516, 57)
    ids, _ = imagenet_classes()
    assert [ids.index(synset_of_challenge_id()[number]) for number in ground_truth] == list(caffe)
