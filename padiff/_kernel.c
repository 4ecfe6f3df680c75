/* The loops over elements that decide what padiff costs: the figures of one tensor, and of a pair, whose
   axes may lie in different orders.

   All arithmetic is in double precision. Elements are widened a block at a time, small enough for the
   nearest cache, so that memory is read once and each figure costs no pass of its own. The sums of
   a block are added to those before it, which keeps digits that one long sum would lose.
   The interpreter's lock is not held meanwhile. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#define _POSIX_C_SOURCE 200809L /* for pread and sigaction */
#include <Python.h>

#include <errno.h>
#include <float.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512 };

/* A second copy of the loops for processors with wider registers, chosen when the module is loaded. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

/* --- element types ------------------------------------------------------------------------------ */

typedef struct { uint16_t bits; } half;
typedef struct { uint16_t bits; } brain;

/* IEEE 754 binary16: its fields are moved to their places in a float, and the exponent's offset is changed
   from 15 to 127. Infinities and NaN, whose exponent is all ones, keep that; numbers without an exponent
   are multiples of 2^-24. All ways are computed and one is chosen, so that it is done in lanes, and in
   those of a float, which are as many again as a double's. */
INLINE double widen_half(half value) {
    uint32_t size = value.bits & 0x7fff, sign = (uint32_t)(value.bits & 0x8000) << 16;
    uint32_t offset = (uint32_t)(127 - 15) << 23;
    uint32_t bits = (size << 13) + (size >= 0x7c00 ? 2 * offset : offset), small_bits;
    float small = (float)(int32_t)size * 0x1p-24f, wide;
    memcpy(&small_bits, &small, sizeof small);
    bits = (size < 0x0400 ? small_bits : bits) | sign;
    memcpy(&wide, &bits, sizeof bits);
    return wide;
}

/* bfloat16 is the upper half of a float. */
INLINE double widen_brain(brain value) {
    uint32_t bits = (uint32_t)value.bits << 16;
    float wide;
    memcpy(&wide, &bits, sizeof bits);
    return wide;
}

INLINE double plain(double value) { return value; }

/* Name in the table of dtypes, type in memory, and how an element becomes a double. */
#define FOR_EACH_TYPE(X)       \
    X(bool, uint8_t, plain)      \
    X(int8, int8_t, plain)       \
    X(int16, int16_t, plain)     \
    X(int32, int32_t, plain)     \
    X(int64, int64_t, plain)     \
    X(uint8, uint8_t, plain)     \
    X(uint16, uint16_t, plain)   \
    X(uint32, uint32_t, plain)   \
    X(uint64, uint64_t, plain)   \
    X(float16, half, widen_half) \
    X(bfloat16, brain, widen_brain) \
    X(float32, float, plain)     \
    X(float64, double, plain)

#define ENUMERATE(name, type, widen) TYPE_##name,
typedef enum { FOR_EACH_TYPE(ENUMERATE) TYPES } Type;

static const struct { const char *name; Py_ssize_t size; } table[TYPES] = {
#define DESCRIBE(name, type, widen) {#name, sizeof(type)},
    FOR_EACH_TYPE(DESCRIBE)
};

/* `count` elements as doubles, each `step` bytes after the one before. */
INLINE void load(Type type, const char *from, Py_ssize_t step, int count, double *restrict out) {
    switch (type) {
#define LOAD(name, type, widen)                                                           \
    case TYPE_##name:                                                                     \
        if (step == sizeof(type)) /* told apart, so that it is done in lanes */           \
            for (int i = 0; i < count; i++) LOAD_ONE(type, widen, sizeof(type))           \
        else                                                                              \
            for (int i = 0; i < count; i++) LOAD_ONE(type, widen, step)                   \
        break;
#define LOAD_ONE(type, widen, step)                                                       \
    {                                                                                     \
        type element; /* copied: memory need not be aligned */                            \
        memcpy(&element, from + (Py_ssize_t)i * (Py_ssize_t)(step), sizeof element);      \
        out[i] = widen(element);                                                          \
    }
        FOR_EACH_TYPE(LOAD)
    case TYPES: break;
    }
}

/* --- one tensor --------------------------------------------------------------------------------- */

typedef struct {
    Py_ssize_t count, nan, inf;
    double min, max, sum, sum_abs, sum_squares;
} Stats;

INLINE Stats sums_of_one(const double *restrict x, int count) {
    double min = INFINITY, max = -INFINITY, sum = 0, sum_abs = 0, sum_squares = 0;
#pragma omp simd reduction(+ : sum, sum_abs, sum_squares) reduction(min : min) reduction(max : max)
    for (int i = 0; i < count; i++) {
        double v = x[i];
        min = v < min ? v : min;
        max = v > max ? v : max;
        sum += v;
        sum_abs += fabs(v);
        sum_squares += v * v;
    }
    return (Stats){count, 0, 0, min, max, sum, sum_abs, sum_squares};
}

/* Close the gaps that NaN and infinities leave; returns how many elements remain. */
static int drop_nonfinite(double *x, int count, Stats *all) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (isnan(x[i])) all->nan++;
        else if (isinf(x[i])) all->inf++;
        else x[kept++] = x[i];
    }
    return kept;
}

CLONES static void describe(Type type, const char *data, Py_ssize_t size, Stats *result) {
    Stats all = {.min = INFINITY, .max = -INFINITY};
    Py_ssize_t step = table[type].size;
    double x[BLOCK];
    for (Py_ssize_t start = 0; start < size; start += BLOCK) {
        int count = size - start < BLOCK ? (int)(size - start) : BLOCK;
        load(type, data + start * step, step, count, x);
        Stats block = sums_of_one(x, count);
        if (!(block.sum_abs <= DBL_MAX)) block = sums_of_one(x, drop_nonfinite(x, count, &all));
        all.count += block.count;
        all.min = block.min < all.min ? block.min : all.min;
        all.max = block.max > all.max ? block.max : all.max;
        all.sum += block.sum;
        all.sum_abs += block.sum_abs;
        all.sum_squares += block.sum_squares;
    }
    *result = all;
}

/* --- a pair of tensors -------------------------------------------------------------------------- */

typedef struct {
    Py_ssize_t finite, agreeing, parted, mismatched, worst;
    double max_abs, max_rel, excess;
    double sum_abs, sum_base, squares, squares_base, squares_raw, product;
} Figures;

/* A matrix: the steps to the next row and column are in bytes. */
typedef struct {
    Type type;
    const char *data;
    Py_ssize_t down, right;
} Side;

typedef struct {
    Side base, raw;
    Py_ssize_t rows, columns;
    Py_ssize_t first, apart; /* in C order: the place of its first element, and from row to row */
    const double *errors;    /* given, where the doubles' difference is not it; else NULL */
    double atol, rtol;
} Pair;

/* Some rows of a pair, of which so many columns are looked at. */
typedef struct {
    Py_ssize_t first, apart;
    int rows, columns;
} Block;

INLINE Py_ssize_t place_of(const Block *block, int at) {
    return block->first + at / block->columns * block->apart + at % block->columns;
}

/* The sums and extremes of one block of a pair: `worst` and `max_rel` are left to the caller. */
INLINE Figures sums_of_pair(const double *restrict b, const double *restrict r,
                            const double *restrict e, int count, double atol, double rtol,
                            double *least) {
    double max_abs = 0, excess = 0, min = INFINITY;
    double sum_abs = 0, sum_base = 0, squares = 0, squares_base = 0, squares_raw = 0, product = 0;
    int64_t over = 0; /* as wide as the doubles it goes along with */
#pragma omp simd reduction(+ : sum_abs, sum_base, squares, squares_base, squares_raw, product, over) \
    reduction(max : max_abs, excess) reduction(min : min)
    for (int i = 0; i < count; i++) {
        double size = fabs(b[i]), beyond = e[i] - rtol * size;
        max_abs = e[i] > max_abs ? e[i] : max_abs;
        excess = beyond > excess ? beyond : excess;
        min = size < min ? size : min;
        sum_abs += e[i];
        sum_base += size;
        squares += e[i] * e[i];
        squares_base += b[i] * b[i];
        squares_raw += r[i] * r[i];
        product += b[i] * r[i];
        over += !(beyond <= atol);
    }
    *least = min;
    return (Figures){.mismatched = over, .max_abs = max_abs, .excess = excess, .sum_abs = sum_abs,
                     .sum_base = sum_base, .squares = squares, .squares_base = squares_base,
                     .squares_raw = squares_raw, .product = product};
}

INLINE double greatest_ratio(const double *restrict e, const double *restrict b, int count, double known) {
    double most = known;
#pragma omp simd reduction(max : most)
    for (int i = 0; i < count; i++) {
        double ratio = e[i] / fabs(b[i]); /* NaN, where both are 0, is greater than nothing */
        most = ratio > most ? ratio : most;
    }
    return most;
}

/* Elements that are not finite are counted, and 0 stands for them on both sides. Where errors are given,
   NaN marks such elements: absolute values of complex numbers may overflow. */
static void drop_nonfinite_pairs(double *b, double *r, double *e, const Block *block, int given,
                                 Figures *all) {
    for (int i = 0; i < block->rows * block->columns; i++) {
        if (e[i] <= DBL_MAX) continue;
        if (given ? !isnan(b[i]) && !isnan(r[i]) : isfinite(b[i]) && isfinite(r[i])) {
            all->excess = INFINITY; /* finite numbers so far apart that their distance is not */
            continue;
        }
        if (b[i] == r[i] || (isnan(b[i]) && isnan(r[i]))) {
            all->agreeing++;
        } else {
            Py_ssize_t place = place_of(block, i);
            if (all->parted++ == 0 || place < all->worst) all->worst = place;
        }
        b[i] = r[i] = e[i] = 0;
    }
}

INLINE void load_block(const Side *from, const Block *block, double *restrict out) {
    for (int row = 0; row < block->rows; row++)
        load(from->type, from->data + row * from->down, from->right, block->columns, out + row * block->columns);
}

/* Add the figures of a block to those of what came before; the sides begin where it does. */
INLINE void add_block(const Pair *pair, const Side *base, const Side *raw, const Block *block, Figures *all) {
    double b[BLOCK], r[BLOCK], e[BLOCK], least;
    int count = block->rows * block->columns;
    load_block(base, block, b);
    load_block(raw, block, r);
    if (pair->errors) {
        memcpy(e, pair->errors + block->first, sizeof(double) * (size_t)count);
    } else {
        for (int i = 0; i < count; i++) e[i] = fabs(r[i] - b[i]);
    }
    Figures found = sums_of_pair(b, r, e, count, pair->atol, pair->rtol, &least);
    if (!(found.sum_abs <= DBL_MAX)) {
        drop_nonfinite_pairs(b, r, e, block, pair->errors != NULL, all);
        found = sums_of_pair(b, r, e, count, pair->atol, pair->rtol, &least);
    }
    /* divisions take longer than all the rest, and seldom can find a new greatest */
    if (found.max_abs > all->max_rel * least) all->max_rel = greatest_ratio(e, b, count, all->max_rel);
    /* blocks do not come in C order: of equal errors the first is wanted */
    int rivals = found.max_abs > 0 && found.max_abs == all->max_abs && block->first < all->worst;
    if (!all->parted && (found.max_abs > all->max_abs || rivals)) {
        int at = 0;
        while (e[at] != found.max_abs) at++;
        Py_ssize_t place = place_of(block, at);
        if (!rivals || place < all->worst) all->worst = place;
    }
    all->max_abs = found.max_abs > all->max_abs ? found.max_abs : all->max_abs;
    all->excess = found.excess > all->excess ? found.excess : all->excess;
    all->mismatched += found.mismatched;
    all->sum_abs += found.sum_abs;
    all->sum_base += found.sum_base;
    all->squares += found.squares;
    all->squares_base += found.squares_base;
    all->squares_raw += found.squares_raw;
    all->product += found.product;
}

/* Where raw's columns are far apart its elements are brought together first, in a strip that stays in the
   nearest cache: of each cache line all is taken at once, whatever else has its place in the caches. */
enum { LINE = 64, STRIP = 4096, WIDE = STRIP / LINE };

INLINE Side gather(const Side *raw, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t pitch, char *strip) {
    Py_ssize_t size = table[raw->type].size, run = rows * size;
    const char *from = raw->data;
    char *to = strip;
    for (Py_ssize_t column = 0; column < columns; column++, from += raw->right, to += pitch) {
        if (raw->down != size)
            for (Py_ssize_t row = 0; row < rows; row++) memcpy(to + row * size, from + row * raw->down, (size_t)size);
        else if (run == LINE)
            memcpy(to, from, LINE); /* of a length that is known: it is no call */
        else
            memcpy(to, from, (size_t)run);
    }
    return (Side){raw->type, strip, size, pitch};
}

INLINE Py_ssize_t least_of(Py_ssize_t a, Py_ssize_t b) { return a < b ? a : b; }

INLINE Side at(const Side *side, Py_ssize_t row, Py_ssize_t column) {
    return (Side){side->type, side->data + row * side->down + column * side->right, side->down, side->right};
}

/* Add the figures of a matrix. */
CLONES static void compare(const Pair *pair, Figures *all) {
    char strip[STRIP];
    Py_ssize_t size = table[pair->raw.type].size;
    int turned = pair->columns > 1 && pair->raw.right != size;
    Py_ssize_t wide = least_of(pair->columns, turned ? WIDE : BLOCK), at_once = BLOCK / wide;
    Py_ssize_t pitch = STRIP / wide / LINE * LINE, high = turned ? pitch / size : at_once;
    for (Py_ssize_t top = 0; top < pair->rows; top += high) {
        Py_ssize_t rows = least_of(high, pair->rows - top);
        for (Py_ssize_t column = 0; column < pair->columns; column += wide) {
            Block block = {.columns = (int)least_of(wide, pair->columns - column), .apart = pair->apart};
            Side raw = at(&pair->raw, top, column);
            if (turned) raw = gather(&raw, rows, block.columns, pitch, strip);
            for (Py_ssize_t row = 0; row < rows; row += at_once) {
                Side base_part = at(&pair->base, top + row, column), raw_part = at(&raw, row, 0);
                block.rows = (int)least_of(at_once, rows - row);
                block.first = pair->first + (top + row) * pair->apart + column;
                add_block(pair, &base_part, &raw_part, &block, all);
            }
        }
    }
}

/* The last axis that is longer than one, and of those before it the one along which raw's elements lie
   closest, make the matrix; all others are gone through one by one. */
static void compare_all(const Py_buffer *base, const Py_buffer *raw, Pair *pair, Figures *all) {
    int last = base->ndim - 1;
    while (last > 0 && base->shape[last] == 1) last--;
    int close = last - 1;
    Py_ssize_t apart[PyBUF_MAX_NDIM], index[PyBUF_MAX_NDIM] = {0}, size = 1;
    for (int axis = last; axis >= 0; axis--) {
        apart[axis] = size;
        size *= base->shape[axis];
        if (axis < last && base->shape[axis] > 1 &&
            (base->shape[close] == 1 || Py_ABS(raw->strides[axis]) < Py_ABS(raw->strides[close])))
            close = axis;
    }
    pair->base.data = base->buf;
    pair->raw.data = raw->buf;
    pair->rows = 1;
    pair->columns = size;
    pair->base.right = base->itemsize;
    pair->raw.right = raw->itemsize;
    int flat = PyBuffer_IsContiguous(base, 'C') && PyBuffer_IsContiguous(raw, 'C');
    if (!flat) {
        pair->columns = base->shape[last];
        pair->base.right = base->strides[last];
        pair->raw.right = raw->strides[last];
    }
    if (!flat && close >= 0) {
        pair->rows = base->shape[close];
        pair->apart = apart[close];
        pair->base.down = base->strides[close];
        pair->raw.down = raw->strides[close];
    }
    while (size > 0) {
        compare(pair, all);
        int axis = flat ? -1 : last - 1;
        for (; axis >= 0; axis--) {
            if (axis == close) continue;
            pair->base.data += base->strides[axis];
            pair->raw.data += raw->strides[axis];
            pair->first += apart[axis];
            if (++index[axis] < base->shape[axis]) break;
            pair->base.data -= index[axis] * base->strides[axis];
            pair->raw.data -= index[axis] * raw->strides[axis];
            pair->first -= index[axis] * apart[axis];
            index[axis] = 0;
        }
        if (axis < 0) break;
    }
    all->finite = size - all->agreeing - all->parted;
    all->mismatched += all->parted;
}

/* --- a part of an array in a file ----------------------------------------------------------------- */

/* All bytes of one run; 0, or why not: an errno, or -1 where the file ends before. */
static int read_run(int file, char *to, Py_ssize_t size, off_t from) {
    while (size > 0) {
        ssize_t got = pread(file, to, (size_t)size, from);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got < 0 ? errno : -1;
        to += got;
        from += got;
        size -= got;
    }
    return 0;
}

/* Axis by axis into `to`, which has the shape; axes that lie in one piece on both sides are one run. */
static int read_part(int file, off_t from, const Py_ssize_t *steps, const Py_buffer *to) {
    int axes = to->ndim;
    Py_ssize_t index[PyBUF_MAX_NDIM] = {0}, run = to->itemsize;
    while (axes > 0 && steps[axes - 1] == run && to->strides[axes - 1] == run) run *= to->shape[--axes];
    char *place = to->buf;
    for (;;) {
        int failed = read_run(file, place, run, from);
        if (failed) return failed;
        int axis = axes - 1;
        for (; axis >= 0; axis--) {
            from += steps[axis];
            place += to->strides[axis];
            if (++index[axis] < to->shape[axis]) break;
            from -= index[axis] * steps[axis];
            place -= index[axis] * to->strides[axis];
            index[axis] = 0;
        }
        if (axis < 0) return 0;
    }
}

/* --- a file that others cut short ------------------------------------------------------------------ */

static char last_words[512];

/* A handler of Python's would never come to run: the read that failed is tried again before it. */
static void end_process(int number) {
    (void)number;
    ssize_t told = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)told;
    _exit(2);
}

/* --- to and from Python ------------------------------------------------------------------------- */

static int type_named(const char *name, Type *type) {
    for (int i = 0; i < TYPES; i++) {
        if (strcmp(name, table[i].name) == 0) {
            *type = (Type)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError, "expected elements of a type that the kernel knows, got %s", name);
    return -1;
}

static PyObject *py_describe(PyObject *self, PyObject *args) {
    Py_buffer data;
    const char *name;
    if (!PyArg_ParseTuple(args, "y*s:describe", &data, &name)) return NULL;
    Type type;
    Stats s = {0};
    int known = type_named(name, &type) == 0;
    if (known) {
        Py_BEGIN_ALLOW_THREADS
        describe(type, data.buf, data.len / table[type].size, &s);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    if (!known) return NULL;
    return Py_BuildValue("(ndddddnn)", s.count, s.min, s.max, s.sum, s.sum_abs, s.sum_squares, s.nan, s.inf);
}

/* Whether the elements are of the type's size; NULL, or what else does not go together. */
static const char *not_alike(const Pair *pair, const Py_buffer *base, const Py_buffer *raw, const Py_buffer *errors) {
    if (base->itemsize != table[pair->base.type].size) return "elements of base of its type's size";
    if (raw->itemsize != table[pair->raw.type].size) return "elements of raw of its type's size";
    if (base->ndim != raw->ndim) return "as many axes on either side";
    for (int axis = 0; axis < base->ndim; axis++)
        if (base->shape[axis] != raw->shape[axis]) return "one shape on either side";
    if (!errors->obj) return NULL;
    if (errors->len != base->len / base->itemsize * (Py_ssize_t)sizeof(double)) return "as many errors as elements";
    if (!PyBuffer_IsContiguous(base, 'C') || !PyBuffer_IsContiguous(raw, 'C')) return "both sides in C order beside errors";
    return NULL;
}

static PyObject *py_compare(PyObject *self, PyObject *args) {
    Py_buffer base = {0}, raw = {0}, errors = {0};
    const char *base_name, *raw_name;
    PyObject *first, *second, *given;
    Pair pair = {0};
    if (!PyArg_ParseTuple(args, "OsOsddO:compare", &first, &base_name, &second, &raw_name, &pair.atol, &pair.rtol,
                          &given))
        return NULL;
    Figures f = {.worst = -1};
    int valid = type_named(base_name, &pair.base.type) == 0 && type_named(raw_name, &pair.raw.type) == 0 &&
                PyObject_GetBuffer(first, &base, PyBUF_STRIDED_RO) == 0 &&
                PyObject_GetBuffer(second, &raw, PyBUF_STRIDED_RO) == 0 &&
                (given == Py_None || PyObject_GetBuffer(given, &errors, PyBUF_SIMPLE) == 0);
    const char *expected = valid ? not_alike(&pair, &base, &raw, &errors) : NULL;
    if (expected) {
        PyErr_Format(PyExc_ValueError, "expected %s", expected);
        valid = 0;
    }
    if (valid) {
        pair.errors = errors.buf;
        Py_BEGIN_ALLOW_THREADS
        compare_all(&base, &raw, &pair, &f);
        Py_END_ALLOW_THREADS
    }
    if (base.obj) PyBuffer_Release(&base);
    if (raw.obj) PyBuffer_Release(&raw);
    if (errors.obj) PyBuffer_Release(&errors);
    if (!valid) return NULL;
    return Py_BuildValue("(nnnndddddddddn)", f.finite, f.agreeing, f.parted, f.mismatched, f.max_abs,
                         f.max_rel, f.excess, f.sum_abs, f.sum_base, f.squares, f.squares_base,
                         f.squares_raw, f.product, f.worst);
}

static int parse_steps(PyObject *tuple, int axes, Py_ssize_t *steps) {
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != axes) {
        PyErr_SetString(PyExc_ValueError, "expected a step for each axis");
        return 0;
    }
    for (int axis = 0; axis < axes; axis++) {
        steps[axis] = PyLong_AsSsize_t(PyTuple_GetItem(tuple, axis));
        if (steps[axis] == -1 && PyErr_Occurred()) return 0;
    }
    return 1;
}

static PyObject *py_read_part(PyObject *self, PyObject *args) {
    int file, failed = 0;
    long long from;
    PyObject *tuple, *to;
    Py_buffer target;
    Py_ssize_t steps[PyBUF_MAX_NDIM];
    if (!PyArg_ParseTuple(args, "iLOO:read_part", &file, &from, &tuple, &to)) return NULL;
    if (PyObject_GetBuffer(to, &target, PyBUF_STRIDED) != 0) return NULL;
    int valid = parse_steps(tuple, target.ndim, steps);
    if (valid && target.len > 0) {
        Py_BEGIN_ALLOW_THREADS
        failed = read_part(file, (off_t)from, steps, &target);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&target);
    if (!valid) return NULL;
    if (failed > 0) {
        errno = failed;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyBool_FromLong(failed == 0);
}

static PyObject *py_end_when_cut_short(PyObject *self, PyObject *args) {
    const char *line;
    if (!PyArg_ParseTuple(args, "s:end_when_cut_short", &line)) return NULL;
    if (strlen(line) >= sizeof last_words) {
        PyErr_Format(PyExc_ValueError, "expected fewer than %zu bytes, got %zu", sizeof last_words, strlen(line));
        return NULL;
    }
    strcpy(last_words, line);
    struct sigaction action = {.sa_handler = end_process};
    if (sigaction(SIGBUS, &action, NULL) != 0) return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"end_when_cut_short", py_end_when_cut_short, METH_VARARGS, "End where a mapped file was cut; see the stub."},
    {"read_part", py_read_part, METH_VARARGS, "Read a part of an array from a file; see the stub."},
    {"compare", py_compare, METH_VARARGS, "The figures of a pair of tensors; see the stub."},
    {"describe", py_describe, METH_VARARGS, "The figures of one tensor; see the stub."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "padiff._kernel", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module); }
