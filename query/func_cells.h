/* The cell functions and rewrites that the table of functions refers to. */
#ifndef TESSERA_FUNC_CELLS_H
#define TESSERA_FUNC_CELLS_H
#include "query/func.h"

/* func_text.c, func_pattern.c */
cell_fn text_compare, text_extreme, text_length, text_octets, text_upper, text_lower, text_initcap,
    text_reverse, text_substr, text_left, text_right, text_lpad, text_rpad, text_repeat,
    text_replace, text_position, text_split_part, text_btrim, text_ltrim, text_rtrim, text_concat,
    text_concat_ws, text_append, text_starts_with, text_ascii, text_chr, text_overlay,
    text_translate, text_to_hex;
cell_fn text_like, text_ilike, text_not_like, text_not_ilike, text_similar, text_not_similar,
    text_match, text_match_fold, text_no_match, text_no_match_fold, text_regexp_replace;

/* func_time.c, func_interval.c */
cell_fn date_add_days, days_add_date, date_sub_days, date_sub_date, time_sub_time,
    time_add_interval, interval_add_time, time_sub_interval, date_add_interval, interval_add_date,
    date_sub_interval, time_age, time_trunc, date_trunc_date, interval_trunc, time_extract,
    date_extract, interval_extract_field, make_date, make_time, time_is_finite, date_is_finite,
    time_from_epoch, time_to_char, time_bin, time_to_date;
cell_fn interval_add, interval_sub, interval_neg, interval_mul, number_mul_interval, interval_div,
    interval_compare, interval_extreme, interval_make;

/* func_number.c */
cell_fn number_round, number_trunc, number_gcd, number_lcm, number_factorial, number_ldexp,
    number_bit_count;

/* func_rewrite.c */
rewrite_fn rewrite_and, rewrite_or, rewrite_not, rewrite_coalesce, rewrite_nullif, rewrite_same,
    rewrite_clip, rewrite_log_base, rewrite_pi, rewrite_age, rewrite_xor;

#endif
