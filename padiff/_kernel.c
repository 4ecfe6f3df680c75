/* The two loops over elements that decide what padiff costs: the figures of one tensor, and of a pair.

   All arithmetic is in double precision. Elements are widened a block at a time, small enough for the
   nearest cache, so that memory is read once and each figure costs no pass of its own. The sums of
   a block are added to those before it, which keeps digits that one long sum would lose.
   The interpreter's lock is not held meanwhile. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

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

/* IEEE 754 binary16: its fields are moved to their places in a double, and the exponent's offset is changed
   from 15 to 1023. Infinities and NaN, whose exponent is all ones, keep that; numbers without an exponent
   are multiples of 2^-24. All ways are computed and one is chosen, so that it is done in lanes. */
INLINE double widen_half(half value) {
    uint64_t size = value.bits & 0x7fff, sign = (uint64_t)(value.bits & 0x8000) << 48;
    uint64_t offset = (uint64_t)(1023 - 15) << 52;
    uint64_t bits = (size << 42) + (size >= 0x7c00 ? 2 * offset : offset);
    double small = (double)(int32_t)size * 0x1p-24, wide;
    uint64_t small_bits;
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

/* `count` elements from `start` on, as doubles. */
INLINE void load(Type type, const void *data, Py_ssize_t start, int count, double *restrict out) {
    switch (type) {
#define LOAD(name, type, widen)                          \
    case TYPE_##name: {                                  \
        const char *from = (const char *)data + start * (Py_ssize_t)sizeof(type); \
        for (int i = 0; i < count; i++) {                \
            type element; /* copied: memory need not be aligned */ \
            memcpy(&element, from + (size_t)i * sizeof element, sizeof element); \
            out[i] = widen(element);                     \
        }                                                \
        break;                                           \
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

CLONES static void describe(Type type, const void *data, Py_ssize_t size, Stats *result) {
    Stats all = {.min = INFINITY, .max = -INFINITY};
    double x[BLOCK];
    for (Py_ssize_t start = 0; start < size; start += BLOCK) {
        int count = size - start < BLOCK ? (int)(size - start) : BLOCK;
        load(type, data, start, count, x);
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

typedef struct {
    Type base_type, raw_type;
    const void *base, *raw;
    const double *errors; /* given, where the doubles' difference is not it; else NULL */
    Py_ssize_t size;
    double atol, rtol;
} Pair;

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
static void drop_nonfinite_pairs(double *b, double *r, double *e, Py_ssize_t start, int count,
                                 int given, Figures *all) {
    for (int i = 0; i < count; i++) {
        if (e[i] <= DBL_MAX) continue;
        if (given ? !isnan(b[i]) && !isnan(r[i]) : isfinite(b[i]) && isfinite(r[i])) {
            all->excess = INFINITY; /* finite numbers so far apart that their distance is not */
            continue;
        }
        if (b[i] == r[i] || (isnan(b[i]) && isnan(r[i]))) {
            all->agreeing++;
        } else if (all->parted++ == 0) {
            all->worst = start + i;
        }
        b[i] = r[i] = e[i] = 0;
    }
}

CLONES static void compare(const Pair *pair, Figures *result) {
    Figures all = {.worst = -1};
    double b[BLOCK], r[BLOCK], e[BLOCK], least;
    for (Py_ssize_t start = 0; start < pair->size; start += BLOCK) {
        int count = pair->size - start < BLOCK ? (int)(pair->size - start) : BLOCK;
        load(pair->base_type, pair->base, start, count, b);
        load(pair->raw_type, pair->raw, start, count, r);
        if (pair->errors) {
            memcpy(e, pair->errors + start, sizeof(double) * (size_t)count);
        } else {
            for (int i = 0; i < count; i++) e[i] = fabs(r[i] - b[i]);
        }
        Figures block = sums_of_pair(b, r, e, count, pair->atol, pair->rtol, &least);
        if (!(block.sum_abs <= DBL_MAX)) {
            drop_nonfinite_pairs(b, r, e, start, count, pair->errors != NULL, &all);
            block = sums_of_pair(b, r, e, count, pair->atol, pair->rtol, &least);
        }
        /* divisions take longer than all the rest, and seldom can find a new greatest */
        if (block.max_abs > all.max_rel * least)
            all.max_rel = greatest_ratio(e, b, count, all.max_rel);
        if (block.max_abs > all.max_abs) {
            all.max_abs = block.max_abs;
            if (!all.parted) {
                int at = 0;
                while (e[at] != block.max_abs) at++;
                all.worst = start + at;
            }
        }
        all.excess = block.excess > all.excess ? block.excess : all.excess;
        all.mismatched += block.mismatched;
        all.sum_abs += block.sum_abs;
        all.sum_base += block.sum_base;
        all.squares += block.squares;
        all.squares_base += block.squares_base;
        all.squares_raw += block.squares_raw;
        all.product += block.product;
    }
    all.finite = pair->size - all.agreeing - all.parted;
    all.mismatched += all.parted;
    *result = all;
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

static int is_of_size(const Py_buffer *buffer, const char *name, Py_ssize_t itemsize, Py_ssize_t size) {
    if (buffer->len == size * itemsize) return 1;
    PyErr_Format(PyExc_ValueError, "expected %zd bytes for %s, got %zd", size * itemsize, name, buffer->len);
    return 0;
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

static PyObject *py_compare(PyObject *self, PyObject *args) {
    Py_buffer base, raw, errors = {0};
    const char *base_name, *raw_name;
    PyObject *given;
    Pair pair;
    if (!PyArg_ParseTuple(args, "y*sy*sddO:compare", &base, &base_name, &raw, &raw_name, &pair.atol,
                          &pair.rtol, &given))
        return NULL;
    Figures f;
    int valid = type_named(base_name, &pair.base_type) == 0 && type_named(raw_name, &pair.raw_type) == 0;
    valid = valid && (given == Py_None || PyObject_GetBuffer(given, &errors, PyBUF_SIMPLE) == 0);
    if (valid) {
        pair.base = base.buf;
        pair.raw = raw.buf;
        pair.errors = errors.buf;
        pair.size = base.len / table[pair.base_type].size;
        valid = is_of_size(&raw, "raw", table[pair.raw_type].size, pair.size) &&
                (given == Py_None || is_of_size(&errors, "errors", sizeof(double), pair.size));
    }
    if (valid) {
        Py_BEGIN_ALLOW_THREADS
        compare(&pair, &f);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&base);
    PyBuffer_Release(&raw);
    if (errors.obj) PyBuffer_Release(&errors);
    if (!valid) return NULL;
    return Py_BuildValue("(nnnndddddddddn)", f.finite, f.agreeing, f.parted, f.mismatched, f.max_abs,
                         f.max_rel, f.excess, f.sum_abs, f.sum_base, f.squares, f.squares_base,
                         f.squares_raw, f.product, f.worst);
}

static PyMethodDef methods[] = {
    {"compare", py_compare, METH_VARARGS, "The figures of a pair of tensors; see the stub."},
    {"describe", py_describe, METH_VARARGS, "The figures of one tensor; see the stub."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "padiff._kernel", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&module); }
