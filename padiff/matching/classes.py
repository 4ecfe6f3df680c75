"""Which layer classes of the two frameworks are the same, akin, or surely different."""

from functools import cache

__all__ = ["class_score", "depends_on_mode", "does_one_thing", "spelling"]

# Where casefolding does not make the names of torch and paddle equal.
_SYNONYMS = {
    "convtranspose1d": "conv1dtranspose",
    "convtranspose2d": "conv2dtranspose",
    "convtranspose3d": "conv3dtranspose",
    "layerlist": "modulelist",
    "layerdict": "moduledict",
    "nondynamicallyquantizablelinear": "linear",
    "simplernn": "rnn",
    "simplernncell": "rnncell",
    "swish": "silu",
    "thresholdedrelu": "threshold",
}

# Classes of one family may stand for each other by mistake (a GELU for a ReLU): paired, they show
# the fault at its layer. Classes of two families never do the same work.
_FAMILIES = {
    "activation": """celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leakyrelu
        logsigmoid logsoftmax maxout mish prelu relu relu6 rrelu selu sigmoid silu softmax
        softmax2d softmin softplus softshrink softsign tanh tanhshrink threshold""",
    "convolution": "conv1d conv2d conv3d",
    "transposed convolution": "conv1dtranspose conv2dtranspose conv3dtranspose",
    "linear": "bilinear linear",
    "embedding": "embedding embeddingbag",
    "normalization": """batchnorm batchnorm1d batchnorm2d batchnorm3d groupnorm instancenorm1d
        instancenorm2d instancenorm3d layernorm localresponsenorm rmsnorm spectralnorm
        syncbatchnorm""",
    "pooling": """adaptiveavgpool1d adaptiveavgpool2d adaptiveavgpool3d adaptivemaxpool1d
        adaptivemaxpool2d adaptivemaxpool3d avgpool1d avgpool2d avgpool3d fractionalmaxpool2d
        fractionalmaxpool3d lppool1d lppool2d maxpool1d maxpool2d maxpool3d maxunpool1d
        maxunpool2d maxunpool3d""",
    "dropout": "alphadropout dropout dropout1d dropout2d dropout3d featurealphadropout",
    "recurrent": "birnn gru lstm rnn",
    "recurrent cell": "grucell lstmcell rnncell",
    "attention": "multiheadattention",
    "transformer": "transformer transformerdecoder transformerencoder",
    "transformer layer": "transformerdecoderlayer transformerencoderlayer",
    "shape": """channelshuffle flatten fold pixelshuffle pixelunshuffle unflatten unfold""",
    "padding": """constantpad1d constantpad2d constantpad3d pad1d pad2d pad3d reflectionpad1d
        reflectionpad2d replicationpad1d replicationpad2d replicationpad3d zeropad1d zeropad2d
        zeropad3d""",
    "resampling": "upsample upsamplingbilinear2d upsamplingnearest2d",
    "distance": "cosinesimilarity pairwisedistance",
    "loss": """bceloss bcewithlogitsloss cosineembeddingloss crossentropyloss ctcloss
        gaussiannllloss hingeembeddingloss hsigmoidloss huberloss kldivloss l1loss
        marginrankingloss mseloss multilabelmarginloss multilabelsoftmarginloss multimarginloss
        nllloss poissonnllloss smoothl1loss softmarginloss tripletmarginloss""",
    "container": "moduledict modulelist parameterlist sequential",
}
_FAMILY_OF = {name: family for family, names in _FAMILIES.items() for name in names.split()}
# Families of layers that are there to hold other layers.
_HOLDERS = ("container", "transformer", "transformer layer")
# What computes something else in training mode than in evaluation mode.
_MODAL_FAMILIES = ("attention", "dropout", "recurrent", "transformer layer")
_MODAL = (
    *("batchnorm", "batchnorm1d", "batchnorm2d", "batchnorm3d", "syncbatchnorm"),
    *("rrelu", "spectralnorm"),
)


def spelling(name: str) -> str:
    """One name for a class, however either framework spells it."""
    return _SYNONYMS.get(name.casefold(), name.casefold())


def does_one_thing(name: str) -> bool:
    """Whether it is a framework's layer for one job, whatever layers it may be made of."""
    family = _FAMILY_OF.get(spelling(name))
    return family is not None and family not in _HOLDERS


def depends_on_mode(name: str) -> bool:
    """Whether a layer may compute something else in training mode; of a user's own, it may."""
    kind = spelling(name)
    family = _FAMILY_OF.get(kind)
    return family is None or family in _MODAL_FAMILIES or kind in _MODAL


@cache
def class_score(base: str, raw: str) -> float | None:
    """How well two class names go together, from 0 to 2; None when they surely do not.

    2: the same class in either framework's spelling; 1: akin; 0: one is neither framework's, so
    that nothing is known of it.
    """
    a, b = spelling(base), spelling(raw)
    if a == b:
        return 2.0
    if a not in _FAMILY_OF or b not in _FAMILY_OF:
        return 0.0
    return 1.0 if _FAMILY_OF[a] == _FAMILY_OF[b] else None
