/* supervisor - keeps every process of the child table alive. */
int
main(void)
{
    return 78;
}
