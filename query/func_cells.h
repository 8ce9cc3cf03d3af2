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
    text_match, text_match_fold, text_no_match, text_no_match_fold, text_regexp_replace,
    text_regexp_count, text_regexp_like, text_regexp_substr, text_regexp_instr,
    text_substring_match;

/* func_quote.c */
cell_fn notify_cell, time_trunc_zone;
cell_fn text_quote_ident, text_quote_literal, text_format;

/* func_time.c, func_interval.c, func_to_char.c, func_to_time.c */
cell_fn date_add_days, days_add_date, date_sub_days, date_sub_date, time_sub_time,
    time_add_interval, interval_add_time, time_sub_interval, date_add_interval, interval_add_date,
    date_sub_interval, time_age, time_trunc, date_trunc_date, interval_trunc, time_extract,
    date_extract, interval_extract_field, make_date, make_time, time_is_finite, date_is_finite,
    time_from_epoch, time_to_char, time_bin, time_to_date;
cell_fn interval_add, interval_sub, interval_neg, interval_mul, number_mul_interval, interval_div,
    interval_compare, interval_extreme, interval_make, interval_justify_hours,
    interval_justify_days, interval_justify, interval_is_finite, interval_to_char;
cell_fn time_from_text, date_from_text;

/* func_number.c */
cell_fn number_round, number_trunc, number_gcd, number_lcm, number_factorial, number_ldexp,
    number_bit_count, number_fmax, number_fmin, number_logaddexp, number_logaddexp2, number_sinc,
    number_i0, number_cot, number_sind, number_cosd, number_tand, number_cotd, number_asind,
    number_acosd, number_atand, number_atan2d, number_spacing, number_nan_to_num, number_isclose,
    number_width_bucket, number_digitize, number_interp, number_div, count_nulls;
/* func_to_char_number.c */
cell_fn number_to_char, number_from_text;

/* func_rewrite.c */
rewrite_fn rewrite_and, rewrite_or, rewrite_not, rewrite_coalesce, rewrite_nullif, rewrite_same,
    rewrite_clip, rewrite_log_base, rewrite_pi, rewrite_age, rewrite_xor, rewrite_isposinf,
    rewrite_isneginf, rewrite_bit_length, rewrite_typeof;

#endif
