/* The example of report.h. */
#include <prong/process.h>
#include <prong/report.h>
#include <stdio.h>

void tell(const prong_process *p);

void tell(const prong_process *p)
{
#include "report.1.inc"
}
